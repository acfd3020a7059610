/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <viommu/dma.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/front/memory.h"

/* Nothing of what there is too much is added. */
static int memory_add(struct front_memory *memory, const struct vhu_region *region, int fd)
{
	if (memory->table.count == VHU_REGIONS_MAX)
		return -E2BIG;
	memory->table.regions[memory->table.count] = *region;
	memory->fds[memory->table.count++] = fd;
	return 0;
}

static int memory_add_guest(struct front_memory *memory, const struct memory *guest)
{
	int err = 0;

	for (size_t i = 0; i < guest->count && !err; i++) {
		const struct memory_region *from = &guest->regions[i];

		if (from->fd >= 0)
			err = memory_add(memory,
					 &(struct vhu_region){.guest_address = from->gpa.first,
							      .size = from->gpa.last - from->gpa.first + 1,
							      .user_address = from->gpa.first,
							      .mmap_offset = from->fd_offset},
					 from->fd);
	}
	return err;
}

/*
 * What there is now. -EAGAIN: too many sections are open (the array of regions is read in one); -E2BIG: more than the
 * table can hold.
 */
static int memory_collect(struct front_memory *memory, const struct viommu_vhu_config *config)
{
	struct viommu_section section;
	int err = 0;

	*memory = (struct front_memory){0};
	for (unsigned i = 0; !config->endpoint && i < config->region_count && !err; i++) {
		const struct viommu_vhu_region *from = &config->regions[i];

		err = memory_add(memory,
				 &(struct vhu_region){.guest_address = from->gpa.value,
						      .size = from->size,
						      .user_address = from->gpa.value,
						      .mmap_offset = from->fd_offset},
				 from->fd);
	}
	if (!config->endpoint)
		return err;
	err = viommu__look_begin(config->endpoint, &section);
	if (err)
		return err;
	err = memory_add_guest(memory, section.memory);
	viommu_dma_end(&section);
	return err;
}

bool front_memory_differs(const struct front_memory *memory, const struct viommu_vhu_config *config)
{
	struct front_memory now;
	const uint32_t count = memory->table.count;

	if (memory_collect(&now, config) || now.table.count != count)
		return true; /* filling it tells why it cannot be */
	return memcmp(now.table.regions, memory->table.regions, count * sizeof(struct vhu_region)) ||
	       memcmp(now.fds, memory->fds, count * sizeof(int));
}

int front_memory_fill(struct front_memory *memory, struct front_link *link, struct channel_message *message)
{
	struct front_memory now;
	int err = memory_collect(&now, link->config);

	if (err == -E2BIG)
		return front_fail(link, "guest memory has more than %u regions", VHU_REGIONS_MAX);
	if (err)
		return front_fail(link, "no section for the memory table");
	if (!now.table.count)
		return front_fail(link, "no guest memory has a descriptor");
	*memory = now;
	message->memory = now.table;
	message->header.size = (uint32_t)(8 + now.table.count * sizeof(struct vhu_region));
	for (unsigned i = 0; i < now.table.count && !err; i++)
		err = front_attach_fd(link, message, now.fds[i]);
	return err;
}
