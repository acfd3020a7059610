/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device IOTLB: a walked domain (lib/core/walk.h), whose tree keeps what UPDATE brought, in front of the shared
 * table and of the channel over which the front end is asked. The walk of what the tree lacks asks (walk.c), and nobody
 * waits in there. An answer is an UPDATE on the front channel (iotlb.c). One that says no, a reply that says so, or
 * none in time makes the next access there a fault, of which the front end hears.
 */
#ifndef LIB_VHOST_USER_BACK_IOTLB_H
#define LIB_VHOST_USER_BACK_IOTLB_H

#include <viommu/dma.h>

#include "lib/core/internal.h"
#include "lib/util/lines.h"
#include "lib/vhost_user/back/asking.h"
#include "lib/vhost_user/back/memory.h"
#include "lib/vhost_user/back/shared.h"
#include "lib/vhost_user/back/task.h"

struct vbe_iotlb {
	LINE_ALIGNED struct viommu_domain *domain;
	const struct vbe_memory *memory;
	struct vbe_shared shared;              /* each burst reads it */
	LINE_ALIGNED struct vbe_asking asking; /* each miss writes it */
};

/* What the front end says of translations. Errors: the message is refused. */
int vbe_iotlb_message(struct vbe_iotlb *iotlb, const struct channel_message *message, struct vbe_task *task);
/* Forget every translation. -ENOMEM. */
int vbe_iotlb_clear(struct vbe_iotlb *iotlb, struct vbe_task *task);

/* walk.c: of the domain; opaque: the IOTLB */
extern const struct walk_ops vbe_walk_ops;
/* walk.c: ask for what is missing of a range, and wait for none of it. Any thread, inside a burst. */
void vbe_prefetch(struct vbe_iotlb *iotlb, const struct viommu_section *section, uint64_t iova, uint64_t len,
		  unsigned access);

#endif
