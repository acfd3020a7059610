/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device IOTLB of the kernel's vhost (linux/vhost.h): a back end in the kernel that reaches guest memory through
 * translations that it asks for and keeps. This client answers its misses, and takes translations back before an
 * invalidation completes.
 *
 * Everything else of a vhost device (owner, features, rings) is the embedder's. The embedder accepts
 * VIRTIO_F_ACCESS_PLATFORM, gives the kernel an empty memory table, and, before it starts a ring, pushes the ring's
 * used part by viommu_vhost_push(): the kernel reads that while the ring is started, and cannot ask for it then.
 *
 * What the kernel is told it forgets again inside viommu_inval_begin(): writing the message waits for the round of work
 * that the kernel's worker is in, and for nothing else. So an invalidation never stays pending because of this client.
 * That holds for copies only: with vhost_net's zero copy (the module's parameter experimental_zcopytx) packets keep
 * memory for longer; do not use that.
 *
 * A miss that comes while the endpoint is paused (viommu_endpoint_pause()) is not answered: kick the queues when it is
 * resumed.
 *
 * Thread rules: one thread at a time for each object, but for viommu_vhost_restart(): any.
 */
#ifndef VIOMMU_VHOST_H
#define VIOMMU_VHOST_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_vhost;

struct viommu_vhost_config {
	size_t size; /* sizeof(struct viommu_vhost_config): types.h */
	/* A vhost device's descriptor, non-blocking, after VHOST_SET_OWNER. The caller closes it, after destroy. */
	int fd;
	/*
	 * Called, outside of sections, when the kernel has asked for an address that is not allowed. Returns true where
	 * the device still needs that address: then it is a fault. The kernel asks each time that it comes to a buffer,
	 * and its last question may be read long after the buffer was used and unmapped: that is no fault. NULL: always
	 * true.
	 */
	bool (*wants)(void *opaque, struct viommu_iova iova, unsigned access);
	void *opaque;
	bool push_maps; /* push what the guest maps before it is asked for, where the guest tells of it */
};

struct viommu_vhost_stats {
	size_t size;            /* sizeof(struct viommu_vhost_stats): types.h */
	uint64_t misses;        /* asked for by the kernel */
	uint64_t refused;       /* of those: a fault of the endpoint */
	uint64_t updates;       /* translations that the kernel was given */
	uint64_t invalidations; /* and taken */
};

/*
 * viommu_vhost_create - become the client of an endpoint that carries its translations into the kernel.
 *
 * Errors:
 *   -EINVAL      @config has no size
 *   -E2BIG       @config wants what this library does not know (types.h)
 *   -EOPNOTSUPP  no device IOTLB in this kernel
 *   -errno       of the ioctls
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_vhost_create(struct viommu_endpoint *endpoint, const struct viommu_vhost_config *config,
				      struct viommu_vhost **out);

/*
 * viommu_vhost_destroy - free it. The caller has stopped the kernel before (its back ends are unset). NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_vhost_destroy(struct viommu_vhost *vhost);

/*
 * viommu_vhost_serve - answer misses, each with the whole extent around it; to be called when the descriptor is
 * readable. A call answers a bounded number of them; where there are more the descriptor stays readable.
 *
 * @access: filled in: what the misses were for, together; 0: there were none
 * @refused: filled in: a miss was a fault, which is reported (fault.h); its queue stands still until the device is
 *     reset
 *
 * Errors:
 *   -errno  of reading and writing: the device is of no use any more
 */
VIOMMU_PUBLIC int viommu_vhost_serve(struct viommu_vhost *vhost, unsigned *access, bool *refused);

/*
 * viommu_vhost_push - give the kernel what it will need of [iova, iova + len), as far as it does not have it.
 *
 * @access: what it is for; what does not allow it is left out, and reported as a fault if @report says so
 *
 * Errors:
 *   -EFAULT     something that is not mapped was left out
 *   -EACCES     something without that right was left out
 *   -EINVAL     length 0, wrap
 *   -ECANCELED  the endpoint is paused
 *   -EAGAIN     as viommu_publish(), a thousand times
 *   -errno      of writing
 */
VIOMMU_PUBLIC int viommu_vhost_push(struct viommu_vhost *vhost, struct viommu_iova iova, uint64_t len, unsigned access,
				    bool report);

/*
 * viommu_vhost_restart - begin with an empty table again: take all translations from the kernel, and forget that it had
 * them. To be called when the features were set (the kernel has a new table then), or when the rights of what the
 * kernel has may have changed. Any thread.
 */
VIOMMU_PUBLIC void viommu_vhost_restart(struct viommu_vhost *vhost);

/*
 * viommu_vhost_stats_get - counters since it was made.
 *
 * Errors:
 *   -EINVAL  the size in @out is none
 */
VIOMMU_PUBLIC int viommu_vhost_stats_get(const struct viommu_vhost *vhost, struct viommu_vhost_stats *out);

#ifdef __cplusplus
}
#endif
#endif
