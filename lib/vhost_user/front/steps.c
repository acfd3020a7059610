/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps that several scripts have, and short scripts of them. */
#include "lib/vhost_user/front/front.h"

bool front_step_memory_differs(const struct viommu_vhu *vhu)
{
	return front_memory_differs(&vhu->memory, &vhu->config);
}

int front_step_fill_memory(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_memory_fill(&vhu->memory, &vhu->link, message);
}

int front_step_fill_space(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_space_fill(&vhu->space, message);
}

int front_step_got_space(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_space_answer(&vhu->space, message);
}

static int steps_fill_write(struct viommu_vhu *vhu, struct channel_message *message)
{
	return front_space_fill_write(&vhu->space, message);
}

static const struct front_step memory_steps[] = {
	{VHU_SET_MEM_TABLE, .fill = front_step_fill_memory},
};

static const struct front_step read_steps[] = {
	{VHU_GET_CONFIG, .fill = front_step_fill_space, .answer = front_step_got_space},
};

static const struct front_step write_steps[] = {
	{VHU_SET_CONFIG, .may_refuse = true, .fill = steps_fill_write},
};

const struct front_script front_memory_script = {.steps = memory_steps, .count = 1};
const struct front_script front_read_space = {.steps = read_steps, .count = 1};
const struct front_script front_write_space = {.steps = write_steps, .count = 1, .next = &front_read_space};
