/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader of a translation table that another process shares (docs/SHARED-TABLE.md; for vhost-user:
 * VHU_SET_SHARED_TABLE). It needs no context, and nothing else of the library: programs that have no other use for it
 * link libviommu-shared-reader (pkg-config: viommu-shared-reader). What it finds is a guest-physical address that the
 * writer (shared_writer.h) has written: the caller must check it against the memory that it was given.
 *
 * Neither side trusts the other: whatever is in the file that the other one writes, nobody crashes, blocks or hangs.
 */
#ifndef VIOMMU_SHARED_READER_H
#define VIOMMU_SHARED_READER_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_shared_view;

/* The two files of a table, as the writer sends them. */
struct viommu_shared_files {
	int table_fd, epochs_fd;
	uint64_t table_bytes, epochs_bytes;
	unsigned slots;
};

/* An extent (types.h) without a host address: the reader has none. */
struct viommu_shared_extent {
	struct viommu_iova first, last;
	struct viommu_gpa gpa; /* of the first byte; first..last does not wrap there */
	unsigned access;       /* VIOMMU_READ, VIOMMU_WRITE */
};

/* A reader that is inside. Its fields are the library's own; it is visible so that it can lie on the stack. */
struct viommu_shared_reader {
	const struct viommu_shared_view *view;
	unsigned slot;
	struct viommu_shared_extent near_extent;
};

/*
 * viommu_shared_view_open - map a table that another process has sent, and what it says of itself.
 *
 * @files: as received; the descriptors stay the caller's and may be closed afterwards
 *
 * Errors:
 *   -EPROTO  not such files: kind, seals, sizes, header
 *   -ENOMEM
 *   -errno   of mmap(), fstat() and others
 */
VIOMMU_PUBLIC int viommu_shared_view_open(const struct viommu_shared_files *files, struct viommu_shared_view **out);

/* viommu_shared_view_close - unmap the table. No reader may be inside, or go inside meanwhile. NULL is allowed. */
VIOMMU_PUBLIC void viommu_shared_view_close(struct viommu_shared_view *view);

/* viommu_shared_view_slots - how many slots there are. */
VIOMMU_PUBLIC unsigned viommu_shared_view_slots(const struct viommu_shared_view *view);

/*
 * viommu_shared_enter - go inside: what is found from now on may be used until viommu_shared_leave(). An invalidation
 * of the guest waits that long, so leave between bursts of work; a reader that keeps memory for longer (asynchronous
 * I/O) takes a slot of its own for it. Any thread; a reader may be handed from thread to thread.
 *
 * @slot: below the number of slots; for one reader at a time
 *
 * Errors:
 *   -EINVAL  there is no such slot: nobody has gone inside
 */
VIOMMU_PUBLIC int viommu_shared_enter(const struct viommu_shared_view *view, unsigned slot,
				      struct viommu_shared_reader *reader);

/*
 * viommu_shared_find - find the extent around an address. Takes no lock, and a bounded number of steps. What it does
 * not find, or not with that right, the front end is asked for by a message.
 *
 * @access: what it is needed for
 *
 * Errors:
 *   -ENOENT  no such address in the table
 *   -EACCES  without that right
 *   -EPROTO  what lies in the table is not well-formed: its writer has failed
 */
VIOMMU_PUBLIC int viommu_shared_find(struct viommu_shared_reader *reader, struct viommu_iova iova, unsigned access,
				     struct viommu_shared_extent *out);

/* viommu_shared_leave - what was found is void. */
VIOMMU_PUBLIC void viommu_shared_leave(struct viommu_shared_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
