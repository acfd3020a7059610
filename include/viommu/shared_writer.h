/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A translation table that is shared with another process, so that the other one finds translations, and loses them,
 * without a message (docs/SHARED-TABLE.md; for vhost-user: VHU_SET_SHARED_TABLE).
 *
 * The writer is the front end's: the client of one endpoint, whose translations it puts into the *table*, a file that
 * the other side can only read. The reader (shared_reader.h) publishes in a second file, the *epochs*, since when it is
 * inside; an invalidation takes translations out and completes when all readers that may have seen them have left.
 *
 * Neither side trusts the other: whatever is in the file that the other one writes, nobody crashes, blocks or hangs.
 */
#ifndef VIOMMU_SHARED_WRITER_H
#define VIOMMU_SHARED_WRITER_H

#include <viommu/shared_reader.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_shared;

/* A structure that is 0 but for its size gives the defaults. */
struct viommu_shared_config {
	size_t size; /* sizeof(struct viommu_shared_config): types.h */
	/* Size of the table: a multiple of 4096, 256 KiB..1 GiB. 4 KiB hold 512 pages that lie densely. 0: 16 MiB. */
	uint64_t table_bytes;
	/* The number of slots: so many readers can be inside at a time, one in each. 1..1024. 0: 16. */
	unsigned slots;
	/*
	 * Called when an invalidation waits for a reader that is inside: viommu_shared_poll() is to be called soon, and
	 * again until it returns something else than -EAGAIN. Called on any thread, with locks of the context held: it
	 * wakes the thread that polls, and calls nothing of the library. May be NULL where the embedder polls all the
	 * time.
	 */
	void (*pending)(void *opaque);
	/*
	 * The other side has written nonsense into the epochs: cut its access and destroy the table; until then,
	 * nothing is acknowledged any more. Called once, as `pending`. May be NULL: viommu_shared_poll() tells it too.
	 */
	void (*failed)(void *opaque);
	void *opaque;
};

/* Counters since it was made. */
struct viommu_shared_stats {
	size_t size;            /* sizeof(struct viommu_shared_stats): types.h */
	uint64_t puts;          /* extents that were put into the table */
	uint64_t full;          /* extents for which it had no room */
	uint64_t misses;        /* calls of viommu_shared_miss() */
	uint64_t invalidations; /* invalidations that it was told of */
	uint64_t waited;        /* invalidations that had to wait for a reader */
	uint64_t bytes;         /* of the table in use (goes down too) */
};

/*
 * viommu_shared_create - make a table for an endpoint, with what its domain maps already, and become its client. Any
 * thread.
 *
 * @config: NULL: the defaults
 *
 * Errors:
 *   -E2BIG   @config wants what this library does not know (types.h)
 *   -EINVAL  size, number of slots
 *   -ENOMEM
 *   -errno   of memfd_create() and mmap()
 */
VIOMMU_PUBLIC int viommu_shared_create(struct viommu_endpoint *endpoint, const struct viommu_shared_config *config,
				       struct viommu_shared **out);

/*
 * viommu_shared_destroy - the other side's access is cut, or it has given the table back: counts as the end of whatever
 * it did inside. The table is left empty. Any thread but from a callback. NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_shared_destroy(struct viommu_shared *shared);

/* viommu_shared_files_get - what to send. The descriptors stay the table's; they can be sent as often as one likes. */
VIOMMU_PUBLIC void viommu_shared_files_get(const struct viommu_shared *shared, struct viommu_shared_files *out);

/*
 * viommu_shared_poll - acknowledge the invalidations that nobody stands in the way of any more. 0: none waits. Any
 * thread, with no lock that the callbacks take.
 *
 * Errors:
 *   -EAGAIN  some wait
 *   -EPROTO  the other side has failed
 */
VIOMMU_PUBLIC int viommu_shared_poll(struct viommu_shared *shared);

/*
 * viommu_shared_miss - the other side asks for an address that it does not find: put the whole extent around it into
 * the table. Any thread, outside of sections.
 *
 * @access: what it is needed for: VIOMMU_READ or VIOMMU_WRITE or both
 *
 * Errors:
 *   -EFAULT     no such translation; reported as a fault (fault.h)
 *   -EACCES     not with that right; reported as a fault
 *   -ENOSPC     there is one, but the table is full: answer with a message
 *   -ECANCELED  the endpoint is paused (viommu_endpoint_pause())
 *   -EAGAIN     too many sections are open, or invalidations come without end: later
 */
VIOMMU_PUBLIC int viommu_shared_miss(struct viommu_shared *shared, struct viommu_iova iova, unsigned access);

/*
 * viommu_shared_refill - begin with an empty table anew, and put what is mapped into it: the device TLB was switched on
 * or off, so that it hears of other invalidations than before. Waits for nobody. Any thread, outside of sections.
 */
VIOMMU_PUBLIC void viommu_shared_refill(struct viommu_shared *shared);

/*
 * viommu_shared_stats_get - read the counters. Any thread.
 *
 * Errors:
 *   -EINVAL  the size in @out is none
 */
VIOMMU_PUBLIC int viommu_shared_stats_get(struct viommu_shared *shared, struct viommu_shared_stats *out);

#ifdef __cplusplus
}
#endif
#endif
