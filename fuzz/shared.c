/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shared table whose writer means harm, before the reader of a back end: files that are not what the message says,
 * and nodes of any content. What is found is what a plain walk of the file finds, and every walk ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "lib/vhost_user/table/layout.h"
#include "viommu/shared_writer.h"

enum { PAGE = SHARED_NODE, PAGES = 8, TABLE = PAGES * PAGE, SLOTS = 4, HEADER = 48 };

static int table_fd, epochs_fd;
static struct shared_header *table;

static int sealed_file(off_t size)
{
	const int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !ftruncate(fd, size) && !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), "no file");
	return fd;
}

static void make_files(void)
{
	table_fd = sealed_file(TABLE);
	epochs_fd = sealed_file(PAGE);
	table = mmap(NULL, TABLE, PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);
	CHECK(table != MAP_FAILED, "no memory");
}

static void fill_header(void)
{
	memset(table, 0, TABLE);
	table->magic = shared_magic;
	table->version = SHARED_VERSION;
	table->node_bytes = SHARED_NODE;
	table->table_bytes = TABLE;
	table->epochs_bytes = PAGE;
	table->epochs = SLOTS;
	table->epoch_bytes = SHARED_EPOCH;
	table->page_shift = SHARED_PAGE_SHIFT;
	table->bits = SHARED_BITS;
	table->generation = 1;
}

/* Mostly a node or a leaf; else anything. */
static uint64_t draw_word(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape), what = tape_u8(tape);

	if (kind < 112)
		return (uint64_t)(what % (PAGES + 1)) * PAGE;
	if (kind < 224) /* at either end of the space */
		return ((kind & 8 ? UINT64_MAX << 20 : 0) | (uint64_t)what << SHARED_PAGE_SHIFT) | SHARED_LEAF |
		       (kind & SHARED_ACCESS);
	return tape_u64(tape);
}

static void fill_nodes(struct tape *tape)
{
	uint64_t *words = (uint64_t *)table;
	const unsigned count = tape_below(tape, 64);

	for (unsigned i = 0; i < count; i++) {
		const unsigned slot = tape_u8(tape), node = 1 + tape_below(tape, PAGES - 1);

		words[node * SHARED_ENTRIES + (slot & 0x80 ? SHARED_ENTRIES - 1 - (slot & 0x7f) : slot)] =
			draw_word(tape);
	}
	table->root = draw_word(tape) | tape_below(tape, 8);
}

/* The leaf that a walk of what is in the file comes to; false: to none. */
static bool walk(uint64_t iova, uint64_t *leaf, uint64_t *size)
{
	const uint64_t root = table->root;
	uint64_t word = root & ~7ull;
	unsigned level = root & 7;

	if (level > 5 || (level < 5 && iova >> (12 + 9 * (level + 1))))
		return false;
	for (;; level--) {
		if (word % PAGE || word < PAGE || word >= TABLE)
			return false;
		word = ((const uint64_t *)table)[word / 8 + (iova >> (12 + 9 * level)) % 512];
		*size = 1ull << (12 + 9 * level);
		*leaf = word;
		if (word & SHARED_LEAF || !level)
			return word & SHARED_LEAF;
	}
}

static void check_find(struct viommu_shared_reader *reader, uint64_t iova, unsigned access)
{
	struct viommu_shared_extent extent;
	uint64_t leaf = 0, size = 0;
	const int err = viommu_shared_find(reader, (struct viommu_iova){iova}, access, &extent);
	const bool there = walk(iova, &leaf, &size);

	CHECK(!err || err == -ENOENT || err == -EACCES || err == -EPROTO, "error %d", err);
	CHECK(there || err == -ENOENT || err == -EPROTO, "0x%llx is found", (unsigned long long)iova);
	if (err)
		return;
	CHECK(!(access & ~leaf) && extent.access == (leaf & SHARED_ACCESS), "access %u", access);
	CHECK(extent.first.value <= iova && extent.last.value >= iova, "not around 0x%llx", (unsigned long long)iova);
	CHECK(extent.last.value - extent.first.value == size - 1, "another size");
	CHECK(extent.gpa.value == (leaf & ~0xfffull) && extent.gpa.value + (size - 1) >= extent.gpa.value,
	      "another address");
}

static void find_some(struct tape *tape, const struct viommu_shared_view *view)
{
	struct viommu_shared_reader reader;
	const unsigned slot = tape_below(tape, SLOTS + 1);

	if (viommu_shared_enter(view, slot, &reader)) {
		CHECK(slot >= viommu_shared_view_slots(view), "slot %u", slot);
		return;
	}
	while (tape->left) {
		const uint8_t kind = tape_u8(tape);
		const uint64_t iova = kind & 4 ? tape_u64(tape) : tape_u32(tape) >> (kind >> 3);

		check_find(&reader, iova, 1 + kind % 3);
	}
	viommu_shared_leave(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct viommu_shared_files files = {table_fd, epochs_fd, TABLE, PAGE, SLOTS};
	struct viommu_shared_view *view;
	const uint8_t kind = tape_u8(&tape);

	if (!table)
		make_files();
	files.table_fd = table_fd;
	files.epochs_fd = epochs_fd;
	fill_header();
	if (kind & 1)
		tape_copy(&tape, (uint8_t *)table + tape_below(&tape, HEADER - 8), 8);
	if (kind & 2)
		files = (struct viommu_shared_files){kind & 4 ? epochs_fd : table_fd, kind & 8 ? table_fd : epochs_fd,
						     tape_u64(&tape), tape_u64(&tape), tape_u32(&tape)};
	fill_nodes(&tape);

	const int err = viommu_shared_view_open(&files, &view);

	CHECK(err || (files.table_bytes == TABLE && files.epochs_bytes == PAGE), "wrong files are accepted");
	CHECK(!err || err == -EPROTO, "error %d", err);
	if (err)
		return 0;
	find_some(&tape, view);
	viommu_shared_view_close(view);
	return 0;
}
