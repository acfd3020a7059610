/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A translation table that is shared with another process, so that it finds translations, and loses them, without a
 * message (docs/SHARED-TABLE.md; for vhost-user: VHU_SET_SHARED_TABLE).
 *
 * The writer (viommu_shared_*) is the front end's: the client of one endpoint, whose translations it puts into the
 * *table*, a file that the other side can read only. Whoever reads publishes in a second file, the *epochs*, since when
 * it is inside; an invalidation takes translations out and completes when all who may have seen them have left.
 *
 * The reader (viommu_shared_view_*, viommu_shared_enter() and on) is the back end's; it needs no context. What it finds
 * is as good as the front end: a guest-physical address that the reader checks against the memory that it was given.
 *
 * Neither side trusts the other: whatever is in the file that the other one writes, nobody crashes, blocks or hangs.
 */
#ifndef VIOMMU_SHARED_H
#define VIOMMU_SHARED_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_shared;
struct viommu_shared_view;

/* A zeroed structure gives the defaults. */
struct viommu_shared_config {
	/* Size of the table: a multiple of 4096, 256 KiB..1 GiB. 4 KiB hold 512 pages that lie densely. 0: 16 MiB. */
	uint64_t table_bytes;
	/* How many can be inside at a time, one in each slot: 1..1024. 0: 16. */
	unsigned slots;
	/*
	 * True: the device may do DMA now. Called inside a section. While it may not, nothing is put into the table:
	 * viommu_shared_refill() when it may again. It only becomes false before an invalidation of everything
	 * (viommu_quiesce()). NULL: always.
	 */
	bool (*may_dma)(void *opaque);
	/*
	 * An invalidation waits for somebody who is inside: call viommu_shared_poll() soon, and until it returns
	 * something else than -EAGAIN. Any thread, with locks of the context held: wake somebody, call nothing of the
	 * library. May be NULL where the embedder polls all the time.
	 */
	void (*pending)(void *opaque);
	/*
	 * The other side has written nonsense into the epochs: cut its access and destroy the table; until then,
	 * nothing is acknowledged any more. Called once, as `pending`. May be NULL: viommu_shared_poll() tells it too.
	 */
	void (*failed)(void *opaque);
	void *opaque;
};

/* What the other side needs. The descriptors stay the table's; they can be sent as often as one likes. */
struct viommu_shared_files {
	int table_fd, epochs_fd;
	uint64_t table_bytes, epochs_bytes;
	unsigned slots;
};

/* Counters since it was made. */
struct viommu_shared_stats {
	uint64_t puts;          /* stretches of equal rights that were put into the table */
	uint64_t full;          /* and that found no room */
	uint64_t misses;        /* calls of viommu_shared_miss() */
	uint64_t invalidations; /* that it was told of */
	uint64_t waited;        /* of those: somebody was inside */
	uint64_t bytes;         /* of the table in use (goes down too) */
};

/*
 * viommu_shared_create - make a table for an endpoint, with what its domain maps already, and become its client. Any
 * thread. Errors: -EINVAL (size, number of slots), -ENOMEM, -errno of memfd_create() and mmap().
 */
VIOMMU_PUBLIC int viommu_shared_create(struct viommu_endpoint *endpoint, const struct viommu_shared_config *config,
				       struct viommu_shared **out);

/*
 * viommu_shared_destroy - the other side's access is cut, or it has given the table back: counts as the end of whatever
 * it did inside. The table is left empty. Any thread but from a callback. NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_shared_destroy(struct viommu_shared *shared);

/* viommu_shared_files_get - what to send. */
VIOMMU_PUBLIC void viommu_shared_files_get(const struct viommu_shared *shared, struct viommu_shared_files *out);

/*
 * viommu_shared_poll - acknowledge the invalidations that nobody stands in the way of any more. Any thread, with no
 * lock that the callbacks take. Returns 0 (none waits), -EAGAIN (some do), -EPROTO (the other side has failed).
 */
VIOMMU_PUBLIC int viommu_shared_poll(struct viommu_shared *shared);

/*
 * viommu_shared_miss - the other side asks for an address that it does not find: put the whole run around it into the
 * table. @access: what it is needed for: VIOMMU_READ or VIOMMU_WRITE or both.
 * Any thread, outside of sections.
 * Errors: -EFAULT, -EACCES (no such translation; reported as a fault, fault.h), -ENOSPC (there is one, but the table is
 * full: answer with a message), -ECANCELED (may_dma says no), -EAGAIN (too many sections are open, or invalidations
 * come without end: later).
 */
VIOMMU_PUBLIC int viommu_shared_miss(struct viommu_shared *shared, struct viommu_iova iova, unsigned access);

/*
 * viommu_shared_refill - begin with an empty table anew, and put what is mapped into it: the device may do DMA again,
 * or its device TLB was switched on or off, so that it hears of other invalidations than before. Waits for nobody. Any
 * thread, outside of sections.
 */
VIOMMU_PUBLIC void viommu_shared_refill(struct viommu_shared *shared);

/* viommu_shared_stats_get - read the counters. Any thread. */
VIOMMU_PUBLIC void viommu_shared_stats_get(struct viommu_shared *shared, struct viommu_shared_stats *out);

/* A stretch of I/O address space with equal rights that lies in one piece of guest-physical space. */
struct viommu_shared_run {
	struct viommu_iova first, last;
	struct viommu_gpa gpa; /* of the first byte; first..last does not wrap there */
	unsigned access;       /* VIOMMU_READ, VIOMMU_WRITE */
};

/* Who is inside. The fields are the library's own; the structure is visible so that it can lie on the stack. */
struct viommu_shared_reader {
	const struct viommu_shared_view *view;
	unsigned slot;
	struct viommu_shared_run near_run;
};

/*
 * viommu_shared_view_open - map a table that another process has sent, and what it says of itself.
 * @files: as received; the descriptors stay the caller's and may be closed afterwards
 * Errors: -EPROTO (not such files: kind, seals, sizes, header), -ENOMEM, -errno of mmap(), fstat() and others.
 */
VIOMMU_PUBLIC int viommu_shared_view_open(const struct viommu_shared_files *files, struct viommu_shared_view **out);

/* viommu_shared_view_close - nobody is inside any more, nor comes. NULL is allowed. */
VIOMMU_PUBLIC void viommu_shared_view_close(struct viommu_shared_view *view);

/* viommu_shared_view_slots - how many slots there are. */
VIOMMU_PUBLIC unsigned viommu_shared_view_slots(const struct viommu_shared_view *view);

/*
 * viommu_shared_enter - go inside: what is found from now on may be used until viommu_shared_leave(). An invalidation
 * of the guest waits that long, so leave between bursts of work; who keeps memory for longer (asynchronous I/O) takes a
 * slot of its own for it. @slot: below the number of slots; for one reader at a time Any thread; a reader may be handed
 * from thread to thread. Errors: -EINVAL (there is no such slot: nobody has gone inside).
 */
VIOMMU_PUBLIC int viommu_shared_enter(const struct viommu_shared_view *view, unsigned slot,
				      struct viommu_shared_reader *reader);

/*
 * viommu_shared_find - find the run around an address. Takes no lock, and a bounded number of steps. @access: what it
 * is needed for Errors: -ENOENT (no such address in the table), -EACCES (without that right): for both, ask the front
 * end by a message;
 *         -EPROTO (the table is no such table: its writer has failed).
 */
VIOMMU_PUBLIC int viommu_shared_find(struct viommu_shared_reader *reader, struct viommu_iova iova, unsigned access,
				     struct viommu_shared_run *out);

/* viommu_shared_leave - what was found is void. */
VIOMMU_PUBLIC void viommu_shared_leave(struct viommu_shared_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
