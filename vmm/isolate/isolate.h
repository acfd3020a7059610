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

struct isolation;

/*
 * For the first `count` queues of a device, before it is connected; `shadow` as for shadow_init(). `broken` is told
 * once that the back end broke the rules of a queue. 0, or -errno.
 */
int isolation_create(struct virtio_dev *dev, unsigned count, const struct shadow_config *shadow,
		     void (*broken)(struct virtio_dev *dev), struct isolation **out);
void isolation_destroy(struct isolation *isolate); /* NULL is allowed */

/* The only memory that the back end is to know. */
struct viommu_vhu_region isolation_region(const struct isolation *isolate);

/* Where the back end is to find a queue. */
void isolation_ring(const struct isolation *isolate, unsigned queue, struct viommu_vhu_ring *out);

/* The guest has notified a queue. */
void isolation_kick(struct isolation *isolate, unsigned queue);

/* A back end has begun to serve the queues: tell it to look. */
void isolation_started(struct isolation *isolate);

/* The back end is gone: what it had not answered waits for the next one. */
void isolation_lost(struct isolation *isolate);

/* The queues are the guest's again, and nothing is under way. */
void isolation_reset(struct isolation *isolate);

#endif
