/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user device whose back end gets no guest memory: the monitor serves the guest's queues itself, and copies
 * each request into bounce memory and back (shadow.h). What the back end is told of are the shadow queues there.
 */
#ifndef VMM_ISOLATE_ISOLATE_H
#define VMM_ISOLATE_ISOLATE_H

#include <viommu/vhost_user_front.h>

#include "vmm/isolate/shadow.h"
#include "vmm/virtio/virtio.h"

struct vhu_isolate;

/*
 * For the first `count` queues of a device, before it is connected; `shadow` as for shadow_init(). `broken` is told
 * once that the back end broke the rules of a queue. 0, or -errno.
 */
int vhu_isolate_create(struct virtio_dev *dev, unsigned count, const struct shadow_config *shadow,
		       void (*broken)(struct virtio_dev *dev), struct vhu_isolate **out);
void vhu_isolate_destroy(struct vhu_isolate *isolate); /* NULL is allowed */

/* The only memory that the back end is to know. */
struct viommu_vhu_region vhu_isolate_region(const struct vhu_isolate *isolate);

/* Where the back end is to find a queue. */
void vhu_isolate_ring(const struct vhu_isolate *isolate, unsigned queue, struct viommu_vhu_ring *out);

/* The guest has notified a queue. */
void vhu_isolate_kick(struct vhu_isolate *isolate, unsigned queue);

/* A back end has begun to serve the queues: tell it to look. */
void vhu_isolate_started(struct vhu_isolate *isolate);

/* The back end is gone: what it had not answered waits for the next one. */
void vhu_isolate_lost(struct vhu_isolate *isolate);

/* The queues are the guest's again, and nothing is under way. */
void vhu_isolate_reset(struct vhu_isolate *isolate);

#endif
