/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader's side of a shared table: one file that needs the C library alone, as it is a library of its own, too
 * (libviommu-shared-reader). The writer may be hostile, and write while we read: each word is read once, checked, and
 * used as it was read. A walk goes down a level at each step, so it ends whatever it finds.
 */
#include "lib/vhost_user/table/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Huge pages can run out when they are touched; a file on a disk can have errors. Only memory with seals is sure. */
static int check_file(int fd, uint64_t bytes)
{
	struct statfs system;
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstatfs(fd, &system) || system.f_type != TMPFS_MAGIC)
		return -EPROTO;
	/* The size is looked at when it cannot become less any more. */
	if (fstat(fd, &status) || status.st_size < 0 || (uint64_t)status.st_size != bytes)
		return -EPROTO;
	return 0;
}

/* It must be plain memory that cannot shrink, or touching it could be the end of us. @access: PROT_ bits */
static int map_file(int fd, uint64_t bytes, int access, void **out)
{
	int err = check_file(fd, bytes);

	if (err)
		return err;
	*out = mmap(NULL, bytes, access, MAP_SHARED, fd, 0);
	return *out == MAP_FAILED ? -errno : 0;
}

/* Words that never change, so that a writer that changes them is wrong in either reading. */
static int check_header(const struct viommu_shared_view *view)
{
	const volatile struct shared_header *table = view->table;

	if (table->magic != shared_magic || table->version != SHARED_VERSION || table->node_bytes != SHARED_NODE ||
	    table->page_shift != SHARED_PAGE_SHIFT || table->bits != SHARED_BITS ||
	    table->table_bytes != view->table_bytes || table->epochs_bytes != view->epochs_bytes ||
	    table->epochs != view->slots || table->epoch_bytes != SHARED_EPOCH)
		return -EPROTO;
	return 0;
}

static int map_files(struct viommu_shared_view *view, const struct viommu_shared_files *files)
{
	void *at;
	int err = map_file(files->table_fd, files->table_bytes, PROT_READ, &at);

	if (err)
		return err;
	view->table = at;
	err = check_header(view);
	if (!err)
		err = map_file(files->epochs_fd, files->epochs_bytes, PROT_READ | PROT_WRITE, &at);
	if (err) {
		munmap((void *)(uintptr_t)view->table, view->table_bytes);
		return err;
	}
	view->epochs = at;
	return 0;
}

static bool sizes_right(const struct viommu_shared_files *files)
{
	return files->table_bytes >= 2 * SHARED_NODE && files->table_bytes <= SHARED_TABLE_MAX &&
	       !(files->table_bytes % SHARED_NODE) && files->slots && files->slots <= SHARED_EPOCHS_MAX &&
	       files->epochs_bytes / SHARED_EPOCH >= files->slots &&
	       files->epochs_bytes < files->slots * (uint64_t)SHARED_EPOCH + SHARED_NODE;
}

int viommu_shared_view_open(const struct viommu_shared_files *files, struct viommu_shared_view **out)
{
	if (!sizes_right(files))
		return -EPROTO;
	struct viommu_shared_view *view = aligned_alloc(_Alignof(struct viommu_shared_view), sizeof(*view));

	if (!view)
		return -ENOMEM;
	*view = (struct viommu_shared_view){
		.table_bytes = files->table_bytes, .epochs_bytes = files->epochs_bytes, .slots = files->slots};
	int err = map_files(view, files);

	if (err)
		free(view);
	else
		*out = view;
	return err;
}

void viommu_shared_view_close(struct viommu_shared_view *view)
{
	if (!view)
		return;
	munmap((void *)(uintptr_t)view->table, view->table_bytes);
	munmap(view->epochs, view->epochs_bytes);
	free(view);
}

unsigned viommu_shared_view_slots(const struct viommu_shared_view *view)
{
	return view->slots;
}

int viommu_shared_enter(const struct viommu_shared_view *view, unsigned slot, struct viommu_shared_reader *reader)
{
	if (slot >= view->slots)
		return -EINVAL;
	shared_view_enter(view, slot);
	reader->view = view;
	reader->slot = slot;
	reader->near_extent = (struct viommu_shared_extent){{1}, {0}, {0}, 0};
	return 0;
}

void viommu_shared_leave(struct viommu_shared_reader *reader)
{
	shared_view_leave(reader->view, reader->slot);
}

/* An entry of a node, if that is a node. */
static inline bool read_entry(const struct viommu_shared_view *view, uint64_t node, unsigned index, uint64_t *word)
{
	if (node & SHARED_FLAGS || node < SHARED_NODE || node > view->table_bytes - SHARED_NODE)
		return false;
	const struct shared_node *at = (const void *)((const uint8_t *)view->table + node);

	/* Acquire: partner of the release in tree.c; a node is written before it is found. */
	*word = atomic_load_explicit(&at->entry[index], memory_order_acquire);
	return true;
}

/* The leaf of a page, and its level. */
static inline int find_leaf(const struct viommu_shared_view *view, uint64_t page, uint64_t *leaf, unsigned *at)
{
	/* Acquire: as in read_entry(). */
	uint64_t word = atomic_load_explicit(&view->table->root, memory_order_acquire);
	unsigned level = word & SHARED_ROOT_LEVEL;

	if (level >= SHARED_LEVELS)
		return -EPROTO;
	if (!word || page >> (SHARED_BITS * (level + 1)))
		return -ENOENT;
	word -= level;
	for (;; level--) {
		if (!read_entry(view, word, shared_index(page, level), &word))
			return -EPROTO;
		if (word & SHARED_LEAF)
			break;
		if (!word)
			return -ENOENT;
		if (!level)
			return -EPROTO;
	}
	*leaf = word;
	*at = level;
	return word & SHARED_FLAGS & ~(SHARED_LEAF | SHARED_ACCESS) ? -EPROTO : 0;
}

int shared_view_find(const struct viommu_shared_view *view, uint64_t iova, unsigned access,
		     struct viommu_shared_extent *out)
{
	uint64_t leaf;
	unsigned level;
	int err = find_leaf(view, iova >> SHARED_PAGE_SHIFT, &leaf, &level);

	if (err)
		return err;
	uint64_t size = shared_pages(level) << SHARED_PAGE_SHIFT, gpa = leaf & ~(uint64_t)SHARED_FLAGS;
	uint64_t first = iova & ~(size - 1);

	if (gpa > UINT64_MAX - (size - 1))
		return -EPROTO;
	if (access & ~(unsigned)(leaf & SHARED_ACCESS))
		return -EACCES;
	*out = (struct viommu_shared_extent){{first}, {first + (size - 1)}, {gpa}, leaf & SHARED_ACCESS};
	return 0;
}

int viommu_shared_find(struct viommu_shared_reader *reader, struct viommu_iova iova, unsigned access,
		       struct viommu_shared_extent *out)
{
	const struct viommu_shared_extent *near = &reader->near_extent;

	/* What was found since we came in stays valid until we leave: invalidations wait for it. */
	if (__builtin_expect(iova.value >= near->first.value && iova.value <= near->last.value &&
				     !(access & ~near->access),
			     1)) {
		*out = *near;
		return 0;
	}
	int err = shared_view_find(reader->view, iova.value, access, out);

	if (!err)
		reader->near_extent = *out;
	return err;
}
