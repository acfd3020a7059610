/* SPDX-License-Identifier: BSD-2-Clause */
/* Short scripts, whether or not a device is started: the memory table is told, the configuration read and written. */
#include "lib/vhost_user/front/front.h"

static int upkeep_fill(struct viommu_vhu *vhu, struct channel_message *message)
{
	switch (message->header.request) {
	case VHU_SET_MEM_TABLE:
		return front_memory_fill(&vhu->memory, &vhu->link, message);
	case VHU_SET_CONFIG:
		return front_space_fill_write(&vhu->space, message);
	default:
		return front_space_fill(&vhu->space, message);
	}
}

static int upkeep_answer(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_space_answer(&vhu->space, message);
}

static const struct front_step memory_steps[] = {{VHU_SET_MEM_TABLE}};
static const struct front_step read_steps[] = {{VHU_GET_CONFIG, .answered = true}};
static const struct front_step write_steps[] = {{VHU_SET_CONFIG, .may_refuse = true}};

const struct front_script front_memory_script = {.steps = memory_steps, .count = 1, .fill = upkeep_fill};
const struct front_script front_read_space = {
	.steps = read_steps, .count = 1, .fill = upkeep_fill, .answer = upkeep_answer};
const struct front_script front_write_space = {
	.steps = write_steps, .count = 1, .fill = upkeep_fill, .next = &front_read_space};
