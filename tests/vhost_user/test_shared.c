/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table that is shared without messages: what its reader finds, against a list of all pages, and whom an
 * invalidation waits for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/core/inval.h"

#include "tests/support/shared_world.h"
#include "tests/support/test.h"

/* Offsets that docs/SHARED-TABLE.md gives to others. */
static void test_layout(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, 0);
	const uint8_t *table = w.shared->table_file.at;

	assert_memory_equal(table, "viommuST", 8);
	assert_int_equal(*(const uint32_t *)(table + 8), 1);
	assert_int_equal(*(const uint32_t *)(table + 12), PAGE);
	assert_int_equal(*(const uint64_t *)(table + 16), 16 << 20);
	assert_int_equal(*(const uint64_t *)(table + 24), 4 * 128);
	assert_int_equal(*(const uint32_t *)(table + 32), 4);
	assert_int_equal(*(const uint32_t *)(table + 36), 128);
	assert_int_equal(*(const uint32_t *)(table + 40), 12);
	assert_int_equal(*(const uint32_t *)(table + 44), 9);
	assert_int_equal(*(const uint64_t *)(table + 128), 0);
	assert_int_equal(*(const uint64_t *)(table + 256), 1);
	assert_int_equal(world_map(&w, 3, 1, 7, RW), 0);
	uint64_t root = *(const uint64_t *)(table + 128);

	assert_int_equal(root & 0xfff, 0); /* level 0 */
	assert_int_equal(*(const uint64_t *)(table + root + 8 * 3), 7 * PAGE | 4 | RW);
	world_unmap(&w, 3, 1);
	assert_int_equal(*(const uint64_t *)(table + 256), 2);
	struct viommu_shared_reader reader;

	viommu_shared_enter(w.view, 2, &reader);
	assert_int_equal(*(const uint64_t *)((const uint8_t *)w.shared->epochs_file.at + 256), 2);
	viommu_shared_leave(&reader);
	assert_int_equal(*(const uint64_t *)((const uint8_t *)w.shared->epochs_file.at + 256), 0);
	world_close(&w);
}

static void test_maps_are_there_without_a_miss(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_look_page(&w, 5), -ENOENT);
	assert_int_equal(world_map(&w, 5, 1, 9, VIOMMU_READ), 0);
	assert_int_equal(world_look(&w, 5 * PAGE + 17, VIOMMU_READ), 9);
	assert_int_equal(world_look(&w, 5 * PAGE, VIOMMU_WRITE), -EACCES);
	assert_int_equal(world_look_page(&w, 4), -ENOENT);
	assert_int_equal(world_look_page(&w, 6), -ENOENT);
	world_unmap(&w, 5, 1);
	assert_int_equal(world_look_page(&w, 5), -ENOENT);
	assert_int_equal(world_stats(&w).misses, 0);
	assert_int_equal(world_stats(&w).bytes, PAGE);
	world_close(&w);
}

/* A domain that has mappings already, a bypassing endpoint, one that is blocked. */
static void test_a_move_changes_what_is_there(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 1ull << 40, 3, 100, RW), 0);
	assert_int_equal(world_map(&w, 600, 1, 50, RW), 0);
	assert_int_equal(viommu_bypass(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_look_page(&w, 600), 600);
	assert_int_equal(world_look_page(&w, MEMORY_PAGES - 1), MEMORY_PAGES - 1);
	assert_int_equal(world_look_page(&w, MEMORY_PAGES), -ENOENT);
	assert_int_equal(viommu_detach(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_look_page(&w, 600), -ENOENT);
	assert_int_equal(viommu_attach(w.endpoint, w.domain, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_look_page(&w, 600), 50);
	assert_int_equal(world_look_page(&w, (1ull << 40) + 2), 102);
	assert_int_equal(world_look_page(&w, (1ull << 40) + 3), -ENOENT);
	world_close(&w);
}

static void test_a_new_table_has_what_is_mapped(void **state)
{
	struct world w;
	struct viommu_shared *second;
	struct viommu_shared_files files;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 1ull << 51, 1, 3, RW), 0);
	assert_int_equal(viommu_shared_create(w.endpoint, NULL, &second), 0);
	viommu_shared_view_close(w.view);
	viommu_shared_files_get(second, &files);
	assert_int_equal(viommu_shared_view_open(&files, &w.view), 0);
	assert_int_equal(viommu_shared_view_slots(w.view), 16);
	assert_int_equal(world_look_page(&w, 1ull << 51), 3);
	viommu_shared_destroy(second);
	assert_int_equal(world_look_page(&w, 1ull << 51), -ENOENT);
	world_close(&w);
}

/* The tree against a list of all pages: an area at the start, and one at the end of the address space. */
enum { AREA = 3 * LEVEL_1 + 5, AREAS = 3, ROUNDS = 4000 };

static const uint64_t area_start[AREAS] = {0, (1ull << 30) - LEVEL_1, (1ull << 52) - AREA};

struct reference {
	uint64_t leaf[AREAS][AREA]; /* 0: nothing */
};

static void reference_set(struct reference *r, unsigned area, uint64_t first, uint64_t count, uint64_t leaf)
{
	for (uint64_t i = 0; i < count; i++)
		r->leaf[area][first + i] = leaf ? leaf + (i << 12) : 0;
}

/* Every page says what it should; with readers that may keep old nodes, the tree is walked as they do. */
static void compare(const struct viommu_shared_view *view, const struct reference *r)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;

	viommu_shared_enter(view, 0, &reader);
	for (unsigned area = 0; area < AREAS; area++)
		for (uint64_t i = 0; i < AREA; i++) {
			uint64_t iova = (area_start[area] + i) * PAGE, leaf = r->leaf[area][i];
			int err = viommu_shared_find(&reader, (struct viommu_iova){iova}, 0, &extent);

			assert_int_equal(err, leaf ? 0 : -ENOENT);
			if (!leaf)
				continue;
			assert_int_equal(extent.gpa.value + (iova - extent.first.value), leaf & ~0xfffull);
			assert_int_equal(extent.access, leaf & RW);
		}
	viommu_shared_leave(&reader);
}

static void test_the_tree_is_what_was_put_into_it(void **state)
{
	const uint64_t bytes = 1 << 20;
	struct shared_header *table = aligned_alloc(PAGE, bytes);
	struct shared_epoch *epochs = aligned_alloc(PAGE, PAGE);
	struct viommu_shared_view view = {.table = table, .epochs = epochs, .table_bytes = bytes, .slots = 1};
	struct reference *r = calloc(1, sizeof(*r));
	uint64_t random = 88172645, generation = 1;
	struct tree tree;

	(void)state;
	memset(table, 0, bytes);
	memset(epochs, 0, PAGE);
	assert_int_equal(tree_init(&tree, table, bytes), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned area = (unsigned)world_draw(&random, AREAS);
		uint64_t first = world_draw(&random, AREA), most = world_draw(&random, 4) ? 8 : AREA;
		uint64_t count = 1 + world_draw(&random, most < AREA - first ? most : AREA - first);
		uint64_t start = area_start[area] + first;
		struct range pages = {start, start + count - 1};

		if (world_draw(&random, 2)) {
			uint64_t leaf = (1 + world_draw(&random, 1 << 20)) << 12 | (1 + world_draw(&random, 3));

			assert_int_equal(tree_put(&tree, pages, leaf & ~0xfffull, leaf & RW), 0);
			reference_set(r, area, first, count, leaf);
		} else {
			tree_clear(&tree, pages, ++generation);
			reference_set(r, area, first, count, 0);
		}
		if (!world_draw(&random, 4))
			tree_recycle(&tree, generation);
		if (!world_draw(&random, 16))
			compare(&view, r);
	}
	compare(&view, r);
	tree_clear(&tree, (struct range){0, (1ull << 52) - 1}, ++generation);
	memset(r, 0, sizeof(*r));
	compare(&view, r);
	tree_recycle(&tree, generation);
	assert_int_equal(tree.spared, tree.count - 1);
	tree_fini(&tree);
	free(table);
	free(epochs);
	free(r);
}

/* All there is as one mapping, and a page out of the middle of it. */
static void test_the_whole_space(void **state)
{
	const uint64_t bytes = SHARED_TABLE_MIN, last = (1ull << 52) - 1;
	struct shared_header *table = aligned_alloc(PAGE, bytes);
	struct shared_epoch epochs[16] = {0};
	struct viommu_shared_view view = {.table = table, .epochs = epochs, .table_bytes = bytes, .slots = 16};
	struct world w = {.view = &view};
	struct tree tree;

	(void)state;
	memset(table, 0, bytes);
	assert_int_equal(tree_init(&tree, table, bytes), 0);
	assert_int_equal(tree_put(&tree, (struct range){0, last}, 0, RW), 0);
	assert_int_equal(world_look(&w, UINT64_MAX, RW), last);
	tree_clear(&tree, (struct range){1ull << 40, 1ull << 40}, 2);
	assert_int_equal(world_look_page(&w, 1ull << 40), -ENOENT);
	assert_int_equal(world_look_page(&w, (1ull << 40) + 1), (1ull << 40) + 1);
	assert_int_equal(world_look_page(&w, (1ull << 40) - 1), (1ull << 40) - 1);
	tree_clear(&tree, (struct range){last, last}, 3);
	assert_int_equal(world_look(&w, UINT64_MAX, RW), -ENOENT);
	assert_int_equal(world_look_page(&w, last - 1), last - 1);
	tree_fini(&tree);
	free(table);
}

static void test_an_invalidation_waits_for_who_is_inside(void **state)
{
	struct viommu_shared_reader old, young;
	struct viommu_shared_extent extent;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(world_map(&w, 6, 1, 10, RW), 0);
	viommu_shared_enter(w.view, 0, &old);
	assert_int_equal(viommu_shared_find(&old, (struct viommu_iova){5 * PAGE}, RW, &extent), 0);
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	assert_int_equal(w.pending, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	/* Whoever comes in now does not see it, and is not waited for. */
	viommu_shared_enter(w.view, 3, &young);
	assert_int_equal(viommu_shared_find(&young, (struct viommu_iova){5 * PAGE}, RW, &extent), -ENOENT);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_leave(&old);
	viommu_shared_enter(w.view, 0, &old); /* come back, which is as good */
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	viommu_shared_leave(&young);
	/* The older of two is over first. */
	assert_int_equal(world_begin_unmap(&w, 6, 1), 0);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_leave(&old);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_stats(&w).waited, 2);
	assert_int_equal(w.failed, 0);
	world_close(&w);
}

static int begin_unmap_two(struct world *w, uint64_t a, uint64_t b)
{
	const uint64_t pages[] = {a, b};
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++)
		err = viommu_unmap(w->domain, (struct viommu_iova){pages[i] * PAGE},
				   (struct viommu_iova){pages[i] * PAGE + PAGE - 1}, w->inval, NULL);
	viommu_inval_begin(w->inval);
	return err;
}

/* However many changes it has, they are taken out first, and then readers are looked for once. */
static void test_an_invalidation_of_several_changes_waits_once(void **state)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(world_map(&w, 600, 1, 10, RW), 0);
	viommu_shared_enter(w.view, 1, &reader);
	assert_int_equal(viommu_shared_find(&reader, (struct viommu_iova){600 * PAGE}, RW, &extent), 0);
	assert_int_equal(begin_unmap_two(&w, 5, 600), 0);
	assert_int_equal(w.pending, 1);
	assert_int_equal(world_stats(&w).invalidations, 2);
	assert_int_equal(world_stats(&w).waited, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(world_look_page(&w, 5), -ENOENT);
	assert_int_equal(world_look_page(&w, 600), -ENOENT);
	viommu_shared_leave(&reader);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	/* Nobody is inside: nothing to wait for, nor to poll. */
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(begin_unmap_two(&w, 5, 600), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_stats(&w).waited, 1);
	world_close(&w);
}

/* A page is put where its node is, and taken out, while the table has no room for another node. */
static void test_a_full_table_still_changes_pages_that_have_a_node(void **state)
{
	struct world w;
	uint64_t page = LEVEL_1;

	(void)state;
	world_open(&w, SHARED_TABLE_MIN);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(world_map(&w, 6, 1, 10, RW), 0);
	for (; !world_stats(&w).full; page += LEVEL_1)
		assert_int_equal(world_map(&w, page, 1, 11, RW), 0);
	world_unmap(&w, 5, 1);
	assert_int_equal(world_look_page(&w, 5), -ENOENT);
	assert_int_equal(world_map(&w, 5, 1, 12, RW), 0);
	assert_int_equal(world_look_page(&w, 5), 12);
	assert_int_equal(world_look_page(&w, 6), 10);
	world_unmap(&w, 5, 1);
	world_unmap(&w, 6, 1); /* the node's last */
	assert_int_equal(world_look_page(&w, 6), -ENOENT);
	world_close(&w);
}

static void test_destruction_ends_the_waiting(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	viommu_shared_enter(w.view, 0, &reader);
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_shared_destroy(w.shared);
	w.shared = NULL;
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	world_close(&w);
}

/* The table as the reader sees it. */
static const struct shared_header *table_of(const struct world *w) NO_OTHER_THREAD
{
	return w->shared->tree.table;
}

/* A node that a reader may still walk is not used for anything else. */
static void test_nodes_are_used_again_when_readers_have_left(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	world_open(&w, SHARED_TABLE_MIN);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	uint64_t root = table_of(&w)->root;

	viommu_shared_enter(w.view, 0, &reader);
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(world_map(&w, (i + 1) * LEVEL_1, 1, 7, RW), 0);
	for (uint64_t node = 0; node < PAGE / 8; node++)
		assert_int_equal(*(const uint64_t *)((const uint8_t *)table_of(&w) + root + 8 * node), 0);
	assert_int_equal(world_stats(&w).bytes, (8 + 3) * PAGE);
	viommu_shared_leave(&reader);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(world_stats(&w).bytes, (8 + 2) * PAGE); /* the header, a root */
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	/* For ever: nothing is lost. */
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(world_map(&w, 1ull << 40, 1, 7, RW), 0);
		assert_int_equal(world_look_page(&w, 1ull << 40), 7);
		world_unmap(&w, 1ull << 40, 1);
	}
	assert_int_equal(world_stats(&w).full, 0);
	world_close(&w);
}

static void test_a_full_table_keeps_nothing_more(void **state)
{
	struct world w;
	uint64_t found = 0;

	(void)state;
	world_open(&w, SHARED_TABLE_MIN);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(world_map(&w, i * LEVEL_1, 1, i, RW), 0);
	assert_true(world_stats(&w).full > 0 && world_stats(&w).bytes <= SHARED_TABLE_MIN);
	for (uint64_t i = 0; i < 200; i++)
		found += world_look_page(&w, i * LEVEL_1) == (int64_t)i;
	assert_int_equal(found, 200 - world_stats(&w).full);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){199ull * LEVEL_1 * PAGE}, RW), -ENOSPC);
	/* What is unmapped makes room. */
	world_unmap(&w, 0, 150 * LEVEL_1);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){199ull * LEVEL_1 * PAGE}, RW), 0);
	assert_int_equal(world_look_page(&w, 199 * LEVEL_1), 199);
	/* An invalidation of everything leaves nothing. */
	assert_int_equal(viommu_detach(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_stats(&w).bytes, PAGE);
	assert_int_equal(world_look_page(&w, 199 * LEVEL_1), -ENOENT);
	world_close(&w);
}

static void test_a_miss_is_a_fault_where_nothing_is_mapped(void **state)
{
	struct viommu_fault fault;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, VIOMMU_READ), 0);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){7 * PAGE}, VIOMMU_WRITE), -EFAULT);
	assert_int_equal(viommu_fault_next(w.v, &fault), 0);
	assert_int_equal(fault.iova.value, 7 * PAGE);
	assert_int_equal(fault.access, VIOMMU_WRITE);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){5 * PAGE}, VIOMMU_WRITE), -EACCES);
	world_close(&w);
}

/* Bus mastering is off: nothing is found, whatever the driver maps, until it is on again. */
static void test_a_device_that_may_do_no_dma_finds_nothing(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	viommu_endpoint_pause(w.endpoint);
	assert_int_equal(viommu_quiesce(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_map(&w, 6, 1, 10, RW), 0);
	assert_int_equal(world_look_page(&w, 5), -ENOENT);
	assert_int_equal(world_look_page(&w, 6), -ENOENT);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){5 * PAGE}, RW), -ECANCELED);
	viommu_shared_refill(w.shared);
	assert_int_equal(world_look_page(&w, 6), -ENOENT);
	viommu_endpoint_resume(w.endpoint);
	assert_int_equal(world_look_page(&w, 5), 9);
	assert_int_equal(world_look_page(&w, 6), 10);
	world_close(&w);
}

/* A domain that is walked: one miss brings a run of pages, an invalidation takes it out again, page by page. */
enum { WALKED = 1024 };

static int walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	(void)opaque;
	(void)memory;
	(void)access;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (iova / PAGE >= WALKED)
		return -EFAULT;
	result->iova = (struct range){iova & ~(uint64_t)(PAGE - 1), iova | (PAGE - 1)};
	result->gpa = result->iova.first + 16 * PAGE;
	result->access = RW;
	return 0;
}

static void test_a_miss_brings_the_whole_run(void **state)
{
	static const struct walk_ops walk_ops = {.walk = walk};
	struct viommu_domain *walked;
	struct world w;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(viommu__domain_create_walked(w.v, &walk_ops, NULL, &walked), 0);
	assert_int_equal(viommu_attach(w.endpoint, walked, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_look_page(&w, 600), -ENOENT);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){600 * PAGE}, RW), 0);
	for (uint64_t page = 512; page < WALKED; page++)
		assert_int_equal(world_look_page(&w, page), page + 16);
	assert_int_equal(viommu__domain_evict(walked, (struct range){700 * PAGE, 701 * PAGE - 1}, false, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_look_page(&w, 699), 699 + 16);
	assert_int_equal(world_look_page(&w, 700), -ENOENT);
	assert_int_equal(world_look_page(&w, 701), 701 + 16);
	assert_int_equal(world_stats(&w).misses, 1);
	assert_int_equal(viommu_attach(w.endpoint, w.domain, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	viommu_domain_destroy(walked);
	world_close(&w);
}

/* The reader in another process: sees maps, is waited for, and its death ends nothing by itself. */
static void child(const struct viommu_shared_files *files, int in, int out)
{
	struct viommu_shared_view *view;
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;
	char byte;

	alarm(ALARM_S);
	if (viommu_shared_view_open(files, &view))
		_exit(1);
	viommu_shared_enter(view, 2, &reader);
	if (viommu_shared_find(&reader, (struct viommu_iova){5 * PAGE}, RW, &extent) || extent.gpa.value != 9 * PAGE)
		_exit(2);
	if (write(out, "i", 1) != 1 || read(in, &byte, 1) != 1)
		_exit(3);
	viommu_shared_leave(&reader);
	if (write(out, "o", 1) != 1)
		_exit(4);
	viommu_shared_enter(view, 2, &reader);
	if (viommu_shared_find(&reader, (struct viommu_iova){5 * PAGE}, RW, &extent) != -ENOENT)
		_exit(5);
	_exit(0); /* inside */
}

static void test_two_processes(void **state)
{
	struct viommu_shared_files files;
	int to[2], from[2], status;
	struct world w;
	char byte;

	(void)state;
	world_open(&w, 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	viommu_shared_files_get(w.shared, &files);
	assert_int_equal(pipe(to) | pipe(from), 0);
	pid_t pid = fork();

	if (!pid)
		child(&files, to[0], from[1]);
	assert_true(pid > 0);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	assert_int_equal(w.pending, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(write(to[1], "l", 1), 1);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* It died inside, but came in after the unmap. */
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(world_map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(world_begin_unmap(&w, 5, 1), 0);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_destroy(w.shared);
	w.shared = NULL;
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	for (unsigned i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	world_close(&w);
}

static void test_a_configuration_that_cannot_be(void **state)
{
	static const struct viommu_shared_config bad[] = {
		{.size = sizeof(struct viommu_shared_config), .table_bytes = PAGE},
		{.size = sizeof(struct viommu_shared_config), .table_bytes = (1 << 20) + 1},
		{.size = sizeof(struct viommu_shared_config), .table_bytes = 1ull << 31},
		{.size = sizeof(struct viommu_shared_config), .slots = 1025},
	};
	struct viommu_shared *shared;
	struct world w;

	(void)state;
	world_open(&w, 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(viommu_shared_create(w.endpoint, &bad[i], &shared), -EINVAL);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_maps_are_there_without_a_miss),
		cmocka_unit_test(test_a_move_changes_what_is_there),
		cmocka_unit_test(test_a_new_table_has_what_is_mapped),
		cmocka_unit_test(test_the_tree_is_what_was_put_into_it),
		cmocka_unit_test(test_the_whole_space),
		cmocka_unit_test(test_an_invalidation_waits_for_who_is_inside),
		cmocka_unit_test(test_an_invalidation_of_several_changes_waits_once),
		cmocka_unit_test(test_a_full_table_still_changes_pages_that_have_a_node),
		cmocka_unit_test(test_destruction_ends_the_waiting),
		cmocka_unit_test(test_nodes_are_used_again_when_readers_have_left),
		cmocka_unit_test(test_a_full_table_keeps_nothing_more),
		cmocka_unit_test(test_a_miss_is_a_fault_where_nothing_is_mapped),
		cmocka_unit_test(test_a_device_that_may_do_no_dma_finds_nothing),
		cmocka_unit_test(test_a_miss_brings_the_whole_run),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_a_configuration_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
