/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory table: what the back end maps. What the protocol calls a user address is the guest-physical one. It is
 * told right after the negotiation, as a back end may take its time over it, and again when a device starts and the
 * table has changed.
 */
#include <errno.h>
#include <string.h>

#include <viommu/dma.h>

#include "lib/vhost_user/front/front.h"

/* A table, and the descriptors that belong to it, which stay their owner's. */
struct memory_table {
	struct vhu_memory memory;
	int fds[VHU_REGIONS_MAX];
	bool full; /* there is more than it can hold */
};

static void add(struct memory_table *table, const struct vhu_region *region, int fd)
{
	unsigned count = table->memory.count;

	table->full = table->full || count == VHU_REGIONS_MAX;
	if (table->full)
		return;
	table->memory.regions[count] = *region;
	table->fds[count] = fd;
	table->memory.count++;
}

static void add_guest(struct memory_table *table, const struct memory *memory)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct memory_region *from = &memory->regions[i];

		if (from->fd >= 0)
			add(table,
			    &(struct vhu_region){.guest_address = from->gpa.first,
						 .size = from->gpa.last - from->gpa.first + 1,
						 .user_address = from->gpa.first,
						 .mmap_offset = from->fd_offset},
			    from->fd);
	}
}

static void add_own(struct memory_table *table, const struct viommu_vhu *vhu)
{
	for (unsigned i = 0; i < vhu->config.region_count; i++) {
		const struct viommu_vhu_region *from = &vhu->regions[i];

		add(table,
		    &(struct vhu_region){.guest_address = from->gpa.value,
					 .size = from->size,
					 .user_address = from->gpa.value,
					 .mmap_offset = from->fd_offset},
		    from->fd);
	}
}

/* The array of regions is read in a section. -EAGAIN: too many are open. */
static int collect(const struct viommu_vhu *vhu, struct memory_table *table)
{
	struct viommu_section section;
	int err;

	*table = (struct memory_table){0};
	if (!vhu->config.endpoint) {
		add_own(table, vhu);
		return 0;
	}
	err = viommu_dma_begin(vhu->config.endpoint, &section);
	if (err)
		return err;
	add_guest(table, section.memory);
	viommu_dma_end(&section);
	return 0;
}

bool vhu_memory_differs(const struct viommu_vhu *vhu)
{
	struct memory_table table;

	if (collect(vhu, &table) || table.full || table.memory.count != vhu->memory.count)
		return true; /* filling it tells why it cannot be */
	return memcmp(table.memory.regions, vhu->memory.regions, table.memory.count * sizeof(struct vhu_region)) ||
	       memcmp(table.fds, vhu->memory_fds, table.memory.count * sizeof(int));
}

int vhu_fill_memory(struct viommu_vhu *vhu, struct channel_message *message)
{
	struct memory_table table;
	int err = collect(vhu, &table);

	if (err)
		return vhu_fail(vhu, "no section for the memory table");
	if (table.full)
		return vhu_fail(vhu, "guest memory has more than %u regions", VHU_REGIONS_MAX);
	if (!table.memory.count)
		return vhu_fail(vhu, "no guest memory has a descriptor");
	vhu->memory = message->memory = table.memory;
	memcpy(vhu->memory_fds, table.fds, sizeof(table.fds));
	message->header.size = (uint32_t)(8 + table.memory.count * sizeof(struct vhu_region));
	for (unsigned i = 0; i < table.memory.count && !err; i++)
		err = vhu_attach_fd(vhu, message, table.fds[i]);
	return err;
}

static const struct vhu_step steps[] = {
	{VHU_SET_MEM_TABLE, .fill = vhu_fill_memory},
};

const struct vhu_script vhu_memory_script = {.steps = steps, .count = 1};
