/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio-iommu device model (virtio 1.2, section 5.13), without transport: the embedder owns the PCI function and
 * the two virtqueues, and hands over what the guest put into them.
 *
 * Thread rules: one thread at a time per device (the one that serves its queues), but for viommu_virtio_config_*,
 * viommu_virtio_manage(), viommu_virtio_release() and the event_ready callback, which may come from any thread.
 */
#ifndef VIOMMU_VIRTIO_H
#define VIOMMU_VIRTIO_H

#include <stdbool.h>
#include <sys/uio.h>

#include <viommu/core.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_virtio;

/* Queue numbers, section 5.13.2. */
enum { VIOMMU_VIRTIO_REQUESTQ = 0, VIOMMU_VIRTIO_EVENTQ = 1, VIOMMU_VIRTIO_QUEUES = 2 };

/* So many calls of viommu_virtio_submit() may be incomplete at a time. */
enum { VIOMMU_VIRTIO_BATCHES = 4 };

/* Bytes of the device configuration and of one event, sections 5.13.4 and 5.13.6.9. */
enum { VIOMMU_VIRTIO_CONFIG_SIZE = 40, VIOMMU_VIRTIO_EVENT_SIZE = 24 };

struct viommu_virtio_config {
	size_t size;                        /* sizeof(struct viommu_virtio_config): types.h */
	unsigned input_bits;                /* input range 0..2^N-1, 32..64; 0: 64 */
	uint64_t page_size_mask;            /* the lowest bit is the granule, from 4 KiB; 0: every power of two */
	uint32_t domain_first, domain_last; /* both 0: 0..2^32-1 */
	bool bypass;                        /* unattached endpoints bypass after system reset */
	/*
	 * Offer the older feature BYPASS (3) and not BYPASS_CONFIG: unattached endpoints bypass from when the driver
	 * accepts it until the device is reset, and are blocked before and after. Not together with `bypass`.
	 */
	bool legacy_bypass;
	const struct viommu_reserved *resv; /* what no endpoint may have mapped (PROBE); at most 32; copied */
	size_t resv_count;
	/*
	 * Called when a fault waits for viommu_virtio_event(), on any thread, from inside the DMA that failed: it must
	 * only wake the thread that serves the event queue.
	 */
	void (*event_ready)(void *opaque);
	void *opaque;
	/*
	 * So many regions more PROBE can report of an endpoint, from its own limits (viommu_endpoint_set_limits()), as
	 * far as they are not in `resv`, and in the input range. At most 128. The driver reads once how long answers
	 * are, so room is made for all endpoints that are to come.
	 */
	size_t resv_room;
};

/*
 * viommu_virtio_create - make the device.
 *
 * Errors:
 *   -E2BIG   @config wants what this library does not know (types.h)
 *   -EINVAL  config out of range; regions overlap, wrap, or are not multiples of the granule
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_virtio_create(struct viommu *v, const struct viommu_virtio_config *config,
				       struct viommu_virtio **out);

/*
 * viommu_virtio_destroy - free it; its endpoints end up blocked. No section or hold of theirs may be open. NULL is
 * allowed.
 */
VIOMMU_PUBLIC void viommu_virtio_destroy(struct viommu_virtio *dev);

/*
 * viommu_virtio_manage - put a blocked endpoint behind this device, also while the guest runs. It starts unattached. On
 * an error nothing has changed.
 *
 * PROBE reports what its limits reserve, and MAP and ATTACH honour them (sections 5.13.6.3, 5.13.6.5 and 5.13.6.8). The
 * driver is not told of a granule of its own: where that is larger than the device's (`page_size_mask`), MAP gives
 * RANGE.
 *
 * Errors:
 *   -EBUSY  a model manages it already, or it is not blocked
 *   -ENOSPC  its limits reserve more regions than there is room for (`resv_room`)
 *   -EOPNOTSUPP  it is to bypass, and has a mirror whose limits exclude memory
 *   -EIO    it is to bypass, but has failed and still holds on to memory (inval.h)
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_virtio_manage(struct viommu_virtio *dev, struct viommu_endpoint *endpoint);

/*
 * viommu_virtio_release - take an endpoint back from this virtio-iommu, also while the guest runs and the endpoint does
 * DMA. It leaves its domain and is blocked; requests that name it get NOENT from now on. @inval waits for all DMA that
 * it has begun, whatever it was attached to then. When @inval is complete, and so is each request that names it and
 * was pending (viommu_virtio_poll()), viommu_endpoint_remove() succeeds, and another model may have it at once. On an
 * error nothing has changed.
 *
 * Errors:
 *   -ENOENT  this device does not manage it
 *   -EBUSY   @inval has begun already
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_virtio_release(struct viommu_virtio *dev, struct viommu_endpoint *endpoint,
					struct viommu_inval *inval);

/* viommu_virtio_features - the device's own feature bits, 0..23, that it offers. */
VIOMMU_PUBLIC uint64_t viommu_virtio_features(const struct viommu_virtio *dev);

/*
 * viommu_virtio_set_features - what the driver accepted (at FEATURES_OK). Bits that are not offered are ignored. Once
 * between two resets.
 */
VIOMMU_PUBLIC void viommu_virtio_set_features(struct viommu_virtio *dev, uint64_t features);

/* viommu_virtio_config_read - copy from the configuration; what lies beyond its end reads as 0. */
VIOMMU_PUBLIC void viommu_virtio_config_read(struct viommu_virtio *dev, size_t offset, void *buffer, size_t len);

/*
 * viommu_virtio_config_write - the driver writes; only `bypass` (offset 36) can change, to 0 or 1, once the driver has
 * accepted BYPASS_CONFIG; the rest is ignored. The change is made at once; its completion is waited for by
 * viommu_virtio_poll().
 */
VIOMMU_PUBLIC void viommu_virtio_config_write(struct viommu_virtio *dev, size_t offset, const void *buffer, size_t len);

/*
 * viommu_virtio_reset - device reset (@system false: `bypass` keeps its value) or system reset (true: back to the
 * initial one). Every endpoint is unattached, every domain is gone. Not while requests are pending. Complete when
 * viommu_virtio_poll() says so.
 */
VIOMMU_PUBLIC void viommu_virtio_reset(struct viommu_virtio *dev, bool system);

/*
 * One request as it lay in the ring. The library reads `in` once and writes `out` before it says that it is complete.
 */
struct viommu_virtio_request {
	const struct iovec *in; /* device-readable part */
	size_t in_count;
	const struct iovec *out; /* device-writable part */
	size_t out_count;
	uint32_t written; /* filled in: used length */
	bool complete;    /* filled in: its status is written, and nobody uses what it took away */
};

/*
 * viommu_virtio_submit - handle requests in ring order, with the results that they would have one by one. 0: complete,
 * every status is written.
 *
 * A request that took nothing away (a map, a probe, a request that failed) is complete at once, the others together. A
 * map or an attach that mirrors (mirror.h) are told of is complete when these have answered.
 *
 * @requests: the array stays the library's until all of it is complete; what a request points to, until that one is
 *
 * Errors:
 *   -EAGAIN  changes are made, somebody still uses what they, or those of an earlier call, took away: call
 *            viommu_virtio_poll() when a hold is released or a section ends, and look which are complete
 *   -EBUSY   VIOMMU_VIRTIO_BATCHES of them are waiting
 */
VIOMMU_PUBLIC int viommu_virtio_submit(struct viommu_virtio *dev, struct viommu_virtio_request *requests, size_t count);

/*
 * viommu_virtio_poll - look whether everything that was begun is complete. 0: it is, all statuses are written.
 *
 * Errors:
 *   -EAGAIN  not all
 */
VIOMMU_PUBLIC int viommu_virtio_poll(struct viommu_virtio *dev);

/*
 * viommu_virtio_event - take the oldest fault as an event, section 5.13.6.9.
 *
 * Any thread. Events beyond 256 that nobody takes are dropped and counted (struct viommu_stats).
 *
 * Errors:
 *   -EAGAIN    none
 *   -EMSGSIZE  @len is below VIOMMU_VIRTIO_EVENT_SIZE; the event stays
 */
VIOMMU_PUBLIC int viommu_virtio_event(struct viommu_virtio *dev, void *buffer, size_t len);

/* viommu_virtio_events_drop - the driver has no buffer for what waits: forget it, and count it. Any thread. */
VIOMMU_PUBLIC void viommu_virtio_events_drop(struct viommu_virtio *dev);

#ifdef __cplusplus
}
#endif
#endif
