/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory table: what the back end maps. What the protocol calls a user address is the guest-physical one. */
#include <errno.h>

#include <viommu/dma.h>

#include "lib/client/vhost_user/front.h"

static int add(struct viommu_vhu *vhu, struct channel_message *message, const struct vhu_region *region, int fd)
{
	if (message->memory.count == VHU_REGIONS_MAX)
		return vhu_fail(vhu, "guest memory has more than %u regions", VHU_REGIONS_MAX);
	message->memory.regions[message->memory.count++] = *region;
	return vhu_attach_fd(vhu, message, fd);
}

/* An array of regions is read in a section; the memory itself may go while the back end has it, as it may for any device. */
static int add_guest(struct viommu_vhu *vhu, struct channel_message *message)
{
	struct viommu_section section;
	int err = viommu_dma_begin(vhu->config.endpoint, &section);

	if (err)
		return vhu_fail(vhu, "no section for the memory table");
	const struct memory *memory = section.memory;

	for (size_t i = 0; i < memory->count && !err; i++) {
		const struct memory_region *from = &memory->regions[i];

		if (from->fd >= 0)
			err = add(vhu, message,
				  &(struct vhu_region){.guest_address = from->gpa.first,
						       .size = from->gpa.last - from->gpa.first + 1,
						       .user_address = from->gpa.first,
						       .mmap_offset = from->fd_offset},
				  from->fd);
	}
	viommu_dma_end(&section);
	return err;
}

static int add_own(struct viommu_vhu *vhu, struct channel_message *message)
{
	int err = 0;

	for (unsigned i = 0; i < vhu->config.region_count && !err; i++) {
		const struct viommu_vhu_region *from = &vhu->regions[i];

		err = add(vhu, message,
			  &(struct vhu_region){.guest_address = from->gpa.value,
					       .size = from->size,
					       .user_address = from->gpa.value,
					       .mmap_offset = from->fd_offset},
			  from->fd);
	}
	return err;
}

int vhu_fill_memory(struct viommu_vhu *vhu, struct channel_message *message)
{
	int err = vhu->config.endpoint ? add_guest(vhu, message) : add_own(vhu, message);

	if (!err && !message->memory.count)
		err = vhu_fail(vhu, "no guest memory has a descriptor");
	message->header.size = (uint32_t)(8 + message->memory.count * sizeof(struct vhu_region));
	return err;
}
