/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations from the front end's shared table (docs/SHARED-TABLE.md), which is looked at before it is asked. Nothing
 * of it is kept: no message says when it is void. A burst is inside from its beginning to its end, in the slot that has
 * the number of its section.
 *
 * Bursts belong to queues that run, and the table changes only while none does. So a burst leaves the table that it
 * entered.
 */
#ifndef LIB_VHOST_USER_BACK_SHARED_H
#define LIB_VHOST_USER_BACK_SHARED_H

#include <viommu/dma.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/back/task.h"

struct vbe_shared {
	struct viommu *v;
	/* Of the table, or NULL; the old one is closed when nobody is inside any more. */
	struct viommu_shared_view *_Atomic view;
};

void vbe_shared_fini(struct vbe_shared *shared);
/* A message's table in the place of the old one; none without descriptors. No queue runs. The task waits for sections.
 */
int vbe_shared_set(struct vbe_shared *shared, const struct channel_message *message, struct vbe_task *task);
/* What it says of an address. Inside a burst, as the others. */
bool vbe_shared_find(const struct vbe_shared *shared, uint64_t iova, unsigned access, struct walk_result *result);
/* A burst begins or ends; -EAGAIN: the table has no place for it. */
int vbe_shared_enter(const struct vbe_shared *shared, const struct viommu_section *section);
void vbe_shared_leave(const struct vbe_shared *shared, const struct viommu_section *section);

#endif
