/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the virtio-iommu model.
 *
 * Locking: `lock` guards everything but the events, which have their own lock because faults come from inside sections.
 * Lock order: viommu_virtio.lock -> the core's locks; -> vio_events.lock, which is innermost.
 */
#ifndef LIB_MODEL_VIRTIO_IOMMU_MODEL_H
#define LIB_MODEL_VIRTIO_IOMMU_MODEL_H

#include <viommu/viommu.h>

#include "lib/core/internal.h"
#include "lib/spec/virtio_iommu.h"
#include "lib/util/lock.h"
#include "lib/util/range.h"

/* A domain lives from the first ATTACH that names it until its last endpoint leaves. */
struct vio_domain {
	struct vio_domain *next;
	uint32_t id;
	bool bypass;
	unsigned endpoints;
	struct viommu_domain *core;
};

struct vio_endpoint {
	struct viommu_endpoint *core;
	struct vio_domain *domain; /* NULL: unattached */
};

enum { VIO_EVENTS = 256, VIO_RESV_MAX = 32, VIO_RESV_ROOM_MAX = 128 };

struct vio_events {
	struct lock lock;
	struct viommu_fault queue[VIO_EVENTS] GUARDED_BY(lock);
	unsigned head GUARDED_BY(lock), count GUARDED_BY(lock);
};

/*
 * `bypass` in three states, because taking it away is an invalidation: what the driver wants, what is in force for
 * unattached endpoints, and what the driver reads: that follows when the invalidation is complete.
 */
struct vio_bypass {
	bool initial, wanted, applied, visible;
};

/* Requests that came together, and what they wait for. Several of these wait independently of each other. */
struct vio_batch {
	struct viommu_virtio *dev;
	struct viommu_inval *inval;
	bool pending; /* `inval` has begun */
	bool failed;  /* one of the requests has, while it was pending */
	struct viommu_virtio_request *requests;
	size_t count;
};

struct viommu_virtio {
	struct viommu *v;
	struct lock lock;
	struct range input;
	uint64_t page_size_mask;
	uint32_t domain_first, domain_last;
	struct viommu_reserved *resv;
	size_t resv_count;
	size_t resv_room; /* PROBE: for so many regions of each endpoint beside these */
	/* The feature BYPASS rules instead of the configuration. Like what is above, it never changes. */
	bool legacy_bypass;
	uint64_t features GUARDED_BY(lock); /* what the driver accepted */
	struct vio_bypass bypass GUARDED_BY(lock);
	struct vio_endpoint *endpoints GUARDED_BY(lock);
	size_t endpoint_count GUARDED_BY(lock);
	struct vio_domain *domains GUARDED_BY(lock); /* the last one used comes first */
	struct vio_batch batches[VIOMMU_VIRTIO_BATCHES] GUARDED_BY(lock);
	struct viommu_inval *inval GUARDED_BY(lock); /* of the batch that is performed; else of the first one */
	struct viommu_inval *side GUARDED_BY(lock);  /* of changes to `bypass` */
	struct vio_events events;
	void (*event_ready)(void *opaque);
	void *opaque;
};

/*
 * Performs a request, given its readable part, copied, long enough for its type. 0 or an error, of which request.c
 * makes the status. The caller holds the lock, which the table cannot say.
 */
typedef int (*vio_handler)(struct viommu_virtio *dev, const uint8_t *request);

static inline bool vio_accepted(const struct viommu_virtio *dev, unsigned feature) REQUIRES(dev->lock)
{
	return dev->features >> feature & 1;
}

/* The smallest mapping: section 5.13.4, the lowest bit of page_size_mask. */
static inline uint64_t vio_granule(uint64_t page_size_mask)
{
	return page_size_mask & -page_size_mask;
}

/* domain.c */
struct vio_domain *vio_domain_find(struct viommu_virtio *dev, uint32_t id) REQUIRES(dev->lock);
struct vio_endpoint *vio_endpoint_find(struct viommu_virtio *dev, uint32_t id) REQUIRES(dev->lock);
int vio_attach(struct viommu_virtio *dev, const uint8_t *request) REQUIRES(dev->lock);
int vio_detach(struct viommu_virtio *dev, const uint8_t *request) REQUIRES(dev->lock);
/* The caller has moved the endpoint: forget that it was in its domain. The last one takes the domain along. */
void vio_leave(struct viommu_virtio *dev, struct vio_endpoint *endpoint) REQUIRES(dev->lock);
/* Let an unattached endpoint do what `bypass` says: all or nothing. -ENOMEM, -EIO (it has failed: inval.h). */
int vio_set_unattached(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct viommu_inval *inval)
	REQUIRES(dev->lock);
/* The same where room is reserved and nothing may fail. */
void vio_force_unattached(struct viommu_virtio *dev, struct vio_endpoint *endpoint, struct viommu_inval *inval)
	REQUIRES(dev->lock);
/* Mirrors have refused what was attached: endpoints that they have put out of their domains are unattached. */
void vio_note_all_lost(struct viommu_virtio *dev, struct viommu_inval *inval) REQUIRES(dev->lock);
/* Take every endpoint out of its domain. Cannot fail: `inval` has room for all (see viommu_virtio_manage()). */
void vio_detach_all(struct viommu_virtio *dev) REQUIRES(dev->lock);

/* mapping.c */
int vio_map(struct viommu_virtio *dev, const uint8_t *request) REQUIRES(dev->lock);
int vio_unmap(struct viommu_virtio *dev, const uint8_t *request) REQUIRES(dev->lock);

static inline struct range vio_resv_range(const struct viommu_reserved *region)
{
	return (struct range){region->first.value, region->last.value};
}

/* probe.c */
uint32_t vio_probe_size(const struct viommu_virtio *dev);
/* False: there is no room for what this endpoint's limits reserve. */
bool vio_probe_fits(const struct viommu_virtio *dev, const struct viommu_endpoint *endpoint);
/* Fills vio_probe_size() bytes. */
int vio_probe(struct viommu_virtio *dev, const uint8_t *request, uint8_t *properties) REQUIRES(dev->lock);

/* config.c: bring a wanted change of `bypass` forward. 0: nothing is under way; -EAGAIN. */
int vio_bypass_step(struct viommu_virtio *dev) REQUIRES(dev->lock);

/* event.c */
void vio_event_sink(void *opaque, const struct viommu_fault *fault);

/* request.c: for struct viommu_inval; `opaque` is the batch. */
void vio_request_failed(void *opaque, unsigned tag, int err);

#endif
