/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory table: what the back end maps. What the protocol calls a user address is the guest-physical one. The
 * back end is told of it right after the negotiation, as it may take its time over it, and again when a device starts
 * and the table has changed.
 */
#ifndef LIB_VHOST_USER_FRONT_MEMORY_H
#define LIB_VHOST_USER_FRONT_MEMORY_H

#include "lib/vhost_user/front/link.h"

struct front_memory {
	struct vhu_memory table;  /* as the back end was told; no regions: not yet */
	int fds[VHU_REGIONS_MAX]; /* numbers, to compare; they stay their owner's */
};

/* True: there is other memory than this back end was told of. */
bool front_memory_differs(const struct front_memory *memory, const struct viommu_vhu_config *config);
int front_memory_fill(struct front_memory *memory, struct front_link *link, struct channel_message *message);

#endif
