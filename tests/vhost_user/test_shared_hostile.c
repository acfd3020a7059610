/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shared table between sides that do not keep to the rules: what the writer makes of epochs, and the reader of
 * files and nodes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/shared_world.h"
#include "tests/support/test.h"

/* Hostile readers. */
static void test_epochs_that_cannot_be_fail_the_other_side(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	viommu_shared_enter(w.view, 0, &reader);
	w.view->epochs[2].inside = UINT64_MAX;
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	assert_int_equal(w.failed, 1);
	assert_int_equal(viommu_shared_poll(w.shared), -EPROTO);
	w.view->epochs[2].inside = 0;
	viommu_shared_leave(&reader);
	assert_int_equal(viommu_shared_poll(w.shared), -EPROTO);
	assert_int_equal(w.failed, 1);
	/* Nothing counts any more but the end. */
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_shared_destroy(w.shared);
	w.shared = NULL;
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	world_close(&w);
}

static void test_random_epochs_hurt_nobody(void **state)
{
	uint64_t random = 123456789;
	struct world w;

	(void)state;
	world_open(&w, 0);
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
		for (unsigned slot = 0; slot < 4; slot++)
			w.view->epochs[slot].inside = world_draw(&random, i + 2);
		assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
		viommu_shared_poll(w.shared);
		for (unsigned slot = 0; slot < 4; slot++)
			w.view->epochs[slot].inside = 0;
		assert_int_equal(viommu_shared_poll(w.shared), 0);
		assert_int_equal(viommu_inval_poll(w.inval), 0);
	}
	assert_int_equal(w.failed, 0);
	world_close(&w);
}

static void test_the_other_side_cannot_write_the_table(void **state)
{
	struct viommu_shared_files files;
	struct world w;
	char path[64];

	(void)state;
	world_open(&w, 0);
	viommu_shared_files_get(w.shared, &files);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, files.table_fd, 0), MAP_FAILED);
	assert_int_equal(pwrite(files.table_fd, path, sizeof(path), 0), -1);
	assert_int_equal(ftruncate(files.table_fd, 0), -1);
	assert_int_equal(ftruncate(files.epochs_fd, 0), -1);
	assert_int_equal(ftruncate(files.epochs_fd, 1 << 30), -1);
	assert_int_equal(fallocate(files.table_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), -1);
	assert_int_equal(fcntl(files.epochs_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	/* A mapping to read does not become one to write, nor does a second descriptor help. */
	void *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, files.table_fd, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	assert_int_equal(mprotect(at, PAGE, PROT_READ | PROT_WRITE), -1);
	munmap(at, PAGE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", files.table_fd);
	int again = open(path, O_RDWR | O_CLOEXEC);

	if (again >= 0) {
		assert_ptr_equal(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
		close(again);
	}
	world_close(&w);
}

/* Hostile writers: files of our own making. */
struct forgery {
	struct viommu_shared_files files;
	struct shared_header *table;
};

enum { FORGED = 4 * PAGE };

static int forged_file(uint64_t bytes, int seals)
{
	int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void forge(struct forgery *f, int seals)
{
	f->files = (struct viommu_shared_files){forged_file(FORGED, seals), forged_file(PAGE, F_SEAL_SHRINK), FORGED,
						PAGE, 4};
	f->table = mmap(NULL, FORGED, PROT_READ | PROT_WRITE, MAP_SHARED, f->files.table_fd, 0);
	assert_ptr_not_equal(f->table, MAP_FAILED);
	*f->table = (struct shared_header){.magic = shared_magic,
					   .version = 1,
					   .node_bytes = PAGE,
					   .table_bytes = FORGED,
					   .epochs_bytes = PAGE,
					   .epochs = 4,
					   .epoch_bytes = 128,
					   .page_shift = 12,
					   .bits = 9,
					   .generation = 1};
}

static void forget(struct forgery *f)
{
	munmap(f->table, FORGED);
	close(f->files.table_fd);
	close(f->files.epochs_fd);
}

static void test_files_are_looked_at_before_they_are_mapped(void **state)
{
	struct viommu_shared_view *view;
	struct viommu_shared_files bad;
	struct forgery f;

	(void)state;
	forge(&f, 0);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), -EPROTO); /* it could shrink */
	forget(&f);
	forge(&f, F_SEAL_SHRINK);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), 0);
	viommu_shared_view_close(view);
	for (unsigned i = 0; i < 12; i++) {
		bad = f.files;
		if (i == 0)
			bad.table_bytes += PAGE;
		if (i == 1)
			bad.table_bytes -= PAGE;
		if (i == 2)
			bad.table_bytes--;
		if (i == 3)
			bad.table_bytes = 0;
		if (i == 4)
			bad.epochs_bytes += PAGE;
		if (i == 5)
			bad.epochs_bytes = 128 * 3;
		if (i == 6)
			bad.slots = 0;
		if (i == 7)
			bad.slots = UINT32_MAX;
		if (i == 8)
			bad.slots = 5; /* not what the header says */
		if (i == 9)
			bad.table_fd = -1;
		if (i == 10)
			bad.epochs_fd = STDERR_FILENO;
		if (i == 11)
			bad.table_bytes = UINT64_MAX & ~(uint64_t)(PAGE - 1);
		assert_int_equal(viommu_shared_view_open(&bad, &view), -EPROTO);
	}
	uint8_t *header = (uint8_t *)f.table;

	for (unsigned i = 0; i < 48; i++) { /* each byte of it counts */
		header[i] ^= 0x10;
		assert_int_equal(viommu_shared_view_open(&f.files, &view), -EPROTO);
		header[i] ^= 0x10;
	}
	forget(&f);
}

static void test_nodes_are_checked(void **state)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_view *view;
	struct viommu_shared_extent extent;
	struct forgery f;

	(void)state;
	forge(&f, F_SEAL_SHRINK);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), 0);
	_Atomic uint64_t *node = (_Atomic uint64_t *)(void *)((uint8_t *)f.table + PAGE);
	/*
	 * A loop; offsets beyond the file, into the header, into the middle of a node; a node below the leaves; flags;
	 * a wrap.
	 */
	static const struct {
		uint64_t root, word;
		int result;
	} cases[] = {
		{PAGE | 5, PAGE, -EPROTO},
		{FORGED | 1, 0, -EPROTO},
		{PAGE | 1, FORGED, -EPROTO},
		{PAGE | 1, UINT64_MAX << 12, -EPROTO},
		{PAGE | 1, PAGE + 8, -EPROTO},
		{8 | 1, 0, -EPROTO},
		{PAGE | 6, 0, -EPROTO},
		{PAGE | 7, 0, -EPROTO},
		{1, 0, -EPROTO},
		{PAGE, 2 * PAGE, -EPROTO},
		{PAGE, 3 << 12 | 4 | 8, -EPROTO},
		{PAGE | 5, UINT64_MAX << 12 | 4 | 3, -EPROTO},
		{PAGE, 3 << 12 | 4, -EACCES},
		{PAGE, 3 << 12 | 4 | 3, 0},
		{PAGE, 0, -ENOENT},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned j = 0; j < LEVEL_1; j++)
			node[j] = cases[i].word;
		f.table->root = cases[i].root;
		viommu_shared_enter(view, 0, &reader);
		assert_int_equal(viommu_shared_find(&reader, (struct viommu_iova){0}, RW, &extent), cases[i].result);
		viommu_shared_leave(&reader);
	}
	viommu_shared_view_close(view);
	forget(&f);
}

static void test_random_tables_hurt_nobody(void **state)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_view *view;
	struct viommu_shared_extent extent;
	uint64_t random = 987654321;
	struct forgery f;

	(void)state;
	forge(&f, F_SEAL_SHRINK);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), 0);
	uint64_t *words = (uint64_t *)f.table;

	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned j = 0; j < 64; j++)
			words[512 + world_draw(&random, FORGED / 8 - 512)] = world_draw(&random, 4)
										     ? world_draw(&random, 6) * PAGE
										     : world_draw(&random, UINT64_MAX);
		f.table->root = world_draw(&random, 2) ? world_draw(&random, 5) * PAGE | world_draw(&random, 8)
						       : world_draw(&random, UINT64_MAX);
		viommu_shared_enter(view, (unsigned)i, &reader);
		for (unsigned j = 0; j < 64; j++) {
			struct viommu_iova iova = {world_draw(&random, UINT64_MAX) >> world_draw(&random, 52)};

			if (viommu_shared_find(&reader, iova, RW, &extent))
				continue;
			assert_true(extent.first.value <= iova.value && iova.value <= extent.last.value);
			assert_true(extent.gpa.value <= UINT64_MAX - (extent.last.value - extent.first.value));
		}
		viommu_shared_leave(&reader);
	}
	viommu_shared_view_close(view);
	forget(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epochs_that_cannot_be_fail_the_other_side),
		cmocka_unit_test(test_random_epochs_hurt_nobody),
		cmocka_unit_test(test_the_other_side_cannot_write_the_table),
		cmocka_unit_test(test_files_are_looked_at_before_they_are_mapped),
		cmocka_unit_test(test_nodes_are_checked),
		cmocka_unit_test(test_random_tables_hurt_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
