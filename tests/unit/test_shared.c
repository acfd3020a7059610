/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table that is shared without messages: what its reader finds against a list of all pages, and what each side makes of a hostile
 * other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <viommu/shared.h>
#include <viommu/viommu.h>

#include "lib/client/shared/view.h"
#include "lib/client/shared/writer.h"
#include "lib/core/inval.h"

#include "tests/test.h"

enum { PAGE = 4096, MEMORY_PAGES = 1 << 15, RW = VIOMMU_READ | VIOMMU_WRITE, ALARM_S = 60, LEVEL_1 = 512 };

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_shared *shared;
	struct viommu_shared_view *view;
	uint8_t *memory;
	unsigned pending, failed;
	bool no_dma;
};

static void on_pending(void *opaque)
{
	((struct world *)opaque)->pending++;
}

static void on_failed(void *opaque)
{
	((struct world *)opaque)->failed++;
}

static bool may_dma(void *opaque)
{
	return !((struct world *)opaque)->no_dma;
}

static void open_world(struct world *w, uint64_t table_bytes)
{
	const struct viommu_config config = {.deadline_ms = 600000};
	const struct viommu_shared_config shared = {.table_bytes = table_bytes,
						    .slots = 4,
						    .may_dma = may_dma,
						    .pending = on_pending,
						    .failed = on_failed,
						    .opaque = w};
	struct viommu_shared_files files;

	*w = (struct world){0};
	w->memory = mmap(NULL, (size_t)MEMORY_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_int_equal(viommu_create(&config, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, (uint64_t)MEMORY_PAGES * PAGE, w->memory, -1, 0),
			 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 1, "test", &w->endpoint), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	assert_int_equal(viommu_shared_create(w->endpoint, &shared, &w->shared), 0);
	viommu_shared_files_get(w->shared, &files);
	assert_int_equal(viommu_shared_view_open(&files, &w->view), 0);
}

static void close_world(struct world *w)
{
	viommu_shared_view_close(w->view);
	viommu_shared_destroy(w->shared);
	assert_int_equal(viommu_detach(w->endpoint, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_inval_destroy(w->inval);
	viommu_destroy(w->v);
	munmap(w->memory, (size_t)MEMORY_PAGES * PAGE);
}

static int map(struct world *w, uint64_t page, uint64_t count, uint64_t target, unsigned access)
{
	return viommu_map(w->domain, (struct viommu_iova){page * PAGE},
			  (struct viommu_iova){page * PAGE + (count * PAGE - 1)}, (struct viommu_gpa){target * PAGE},
			  access);
}

static int begin_unmap(struct world *w, uint64_t page, uint64_t count)
{
	int err = viommu_unmap(w->domain, (struct viommu_iova){page * PAGE},
			       (struct viommu_iova){page * PAGE + (count * PAGE - 1)}, w->inval, NULL);

	if (!err)
		viommu_inval_begin(w->inval);
	return err;
}

static void unmap(struct world *w, uint64_t page, uint64_t count)
{
	assert_int_equal(begin_unmap(w, page, count), 0);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
}

/* One look from outside: the page that an address leads to, or -errno. */
static int64_t look(const struct world *w, uint64_t iova, unsigned access)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_run run;

	viommu_shared_enter(w->view, 1, &reader);
	int err = viommu_shared_find(&reader, (struct viommu_iova){iova}, access, &run);

	viommu_shared_leave(&reader);
	if (err)
		return err;
	assert_true(run.first.value <= iova && iova <= run.last.value);
	return (int64_t)((run.gpa.value + (iova - run.first.value)) / PAGE);
}

static int64_t look_page(const struct world *w, uint64_t page)
{
	return look(w, page * PAGE, VIOMMU_READ);
}

static struct viommu_shared_stats stats(struct world *w)
{
	struct viommu_shared_stats out;

	viommu_shared_stats_get(w->shared, &out);
	return out;
}

/* Offsets that docs/SHARED-TABLE.md gives to others. */
static void test_layout(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
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
	assert_int_equal(map(&w, 3, 1, 7, RW), 0);
	uint64_t root = *(const uint64_t *)(table + 128);

	assert_int_equal(root & 0xfff, 0); /* level 0 */
	assert_int_equal(*(const uint64_t *)(table + root + 8 * 3), 7 * PAGE | 4 | RW);
	unmap(&w, 3, 1);
	assert_int_equal(*(const uint64_t *)(table + 256), 2);
	struct viommu_shared_reader reader;

	viommu_shared_enter(w.view, 2, &reader);
	assert_int_equal(*(const uint64_t *)((const uint8_t *)w.shared->epochs_file.at + 256), 2);
	viommu_shared_leave(&reader);
	assert_int_equal(*(const uint64_t *)((const uint8_t *)w.shared->epochs_file.at + 256), 0);
	close_world(&w);
}

static void test_maps_are_there_without_a_miss(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(look_page(&w, 5), -ENOENT);
	assert_int_equal(map(&w, 5, 1, 9, VIOMMU_READ), 0);
	assert_int_equal(look(&w, 5 * PAGE + 17, VIOMMU_READ), 9);
	assert_int_equal(look(&w, 5 * PAGE, VIOMMU_WRITE), -EACCES);
	assert_int_equal(look_page(&w, 4), -ENOENT);
	assert_int_equal(look_page(&w, 6), -ENOENT);
	unmap(&w, 5, 1);
	assert_int_equal(look_page(&w, 5), -ENOENT);
	assert_int_equal(stats(&w).misses, 0);
	assert_int_equal(stats(&w).bytes, PAGE);
	close_world(&w);
}

/* A domain that has mappings already, a bypassing endpoint, one that is blocked. */
static void test_a_move_changes_what_is_there(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 1ull << 40, 3, 100, RW), 0);
	assert_int_equal(map(&w, 600, 1, 50, RW), 0);
	assert_int_equal(viommu_bypass(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(look_page(&w, 600), 600);
	assert_int_equal(look_page(&w, MEMORY_PAGES - 1), MEMORY_PAGES - 1);
	assert_int_equal(look_page(&w, MEMORY_PAGES), -ENOENT);
	assert_int_equal(viommu_detach(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(look_page(&w, 600), -ENOENT);
	assert_int_equal(viommu_attach(w.endpoint, w.domain, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(look_page(&w, 600), 50);
	assert_int_equal(look_page(&w, (1ull << 40) + 2), 102);
	assert_int_equal(look_page(&w, (1ull << 40) + 3), -ENOENT);
	close_world(&w);
}

static void test_a_new_table_has_what_is_mapped(void **state)
{
	struct world w;
	struct viommu_shared *second;
	struct viommu_shared_files files;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 1ull << 51, 1, 3, RW), 0);
	assert_int_equal(viommu_shared_create(w.endpoint, NULL, &second), 0);
	viommu_shared_view_close(w.view);
	viommu_shared_files_get(second, &files);
	assert_int_equal(viommu_shared_view_open(&files, &w.view), 0);
	assert_int_equal(viommu_shared_view_slots(w.view), 16);
	assert_int_equal(look_page(&w, 1ull << 51), 3);
	viommu_shared_destroy(second);
	assert_int_equal(look_page(&w, 1ull << 51), -ENOENT);
	close_world(&w);
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
	struct viommu_shared_run run;

	viommu_shared_enter(view, 0, &reader);
	for (unsigned area = 0; area < AREAS; area++)
		for (uint64_t i = 0; i < AREA; i++) {
			uint64_t iova = (area_start[area] + i) * PAGE, leaf = r->leaf[area][i];
			int err = viommu_shared_find(&reader, (struct viommu_iova){iova}, 0, &run);

			assert_int_equal(err, leaf ? 0 : -ENOENT);
			if (!leaf)
				continue;
			assert_int_equal(run.gpa.value + (iova - run.first.value), leaf & ~0xfffull);
			assert_int_equal(run.access, leaf & RW);
		}
	viommu_shared_leave(&reader);
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % below;
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
		unsigned area = (unsigned)draw(&random, AREAS);
		uint64_t first = draw(&random, AREA), most = draw(&random, 4) ? 8 : AREA;
		uint64_t count = 1 + draw(&random, most < AREA - first ? most : AREA - first);
		uint64_t start = area_start[area] + first;
		struct range pages = {start, start + count - 1};

		if (draw(&random, 2)) {
			uint64_t leaf = (1 + draw(&random, 1 << 20)) << 12 | (1 + draw(&random, 3));

			assert_int_equal(tree_put(&tree, pages, leaf & ~0xfffull, leaf & RW), 0);
			reference_set(r, area, first, count, leaf);
		} else {
			tree_clear(&tree, pages, ++generation);
			reference_set(r, area, first, count, 0);
		}
		if (!draw(&random, 4))
			tree_recycle(&tree, generation);
		if (!draw(&random, 16))
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
	struct shared_epoch epoch = {0};
	struct viommu_shared_view view = {.table = table, .epochs = &epoch, .table_bytes = bytes, .slots = 1};
	struct world w = {.view = &view};
	struct tree tree;

	(void)state;
	memset(table, 0, bytes);
	assert_int_equal(tree_init(&tree, table, bytes), 0);
	assert_int_equal(tree_put(&tree, (struct range){0, last}, 0, RW), 0);
	assert_int_equal(look(&w, UINT64_MAX, RW), last);
	tree_clear(&tree, (struct range){1ull << 40, 1ull << 40}, 2);
	assert_int_equal(look_page(&w, 1ull << 40), -ENOENT);
	assert_int_equal(look_page(&w, (1ull << 40) + 1), (1ull << 40) + 1);
	assert_int_equal(look_page(&w, (1ull << 40) - 1), (1ull << 40) - 1);
	tree_clear(&tree, (struct range){last, last}, 3);
	assert_int_equal(look(&w, UINT64_MAX, RW), -ENOENT);
	assert_int_equal(look_page(&w, last - 1), last - 1);
	tree_fini(&tree);
	free(table);
}

static void test_an_invalidation_waits_for_who_is_inside(void **state)
{
	struct viommu_shared_reader old, young;
	struct viommu_shared_run run;
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(map(&w, 6, 1, 10, RW), 0);
	viommu_shared_enter(w.view, 0, &old);
	assert_int_equal(viommu_shared_find(&old, (struct viommu_iova){5 * PAGE}, RW, &run), 0);
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
	assert_int_equal(w.pending, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	/* Whoever comes in now does not see it, and is not waited for. */
	viommu_shared_enter(w.view, 3, &young);
	assert_int_equal(viommu_shared_find(&young, (struct viommu_iova){5 * PAGE}, RW, &run), -ENOENT);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_leave(&old);
	viommu_shared_enter(w.view, 0, &old); /* come back, which is as good */
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	viommu_shared_leave(&young);
	/* The older of two is over first. */
	assert_int_equal(begin_unmap(&w, 6, 1), 0);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_leave(&old);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(stats(&w).waited, 2);
	assert_int_equal(w.failed, 0);
	close_world(&w);
}

static void test_destruction_ends_the_waiting(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	viommu_shared_enter(w.view, 0, &reader);
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	viommu_shared_destroy(w.shared);
	w.shared = NULL;
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	close_world(&w);
}

/* A node that a reader may still walk is not used for anything else. */
static void test_nodes_are_used_again_when_readers_have_left(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	open_world(&w, SHARED_TABLE_MIN);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	uint64_t root = w.shared->tree.table->root;

	viommu_shared_enter(w.view, 0, &reader);
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(map(&w, (i + 1) * LEVEL_1, 1, 7, RW), 0);
	for (uint64_t node = 0; node < PAGE / 8; node++)
		assert_int_equal(*(uint64_t *)((uint8_t *)w.shared->tree.table + root + 8 * node), 0);
	assert_int_equal(stats(&w).bytes, (8 + 3) * PAGE);
	viommu_shared_leave(&reader);
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(stats(&w).bytes, (8 + 2) * PAGE); /* the header, a root */
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	/* For ever: nothing is lost. */
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(map(&w, 1ull << 40, 1, 7, RW), 0);
		assert_int_equal(look_page(&w, 1ull << 40), 7);
		unmap(&w, 1ull << 40, 1);
	}
	assert_int_equal(stats(&w).full, 0);
	close_world(&w);
}

static void test_a_full_table_keeps_nothing_more(void **state)
{
	struct world w;
	uint64_t found = 0;

	(void)state;
	open_world(&w, SHARED_TABLE_MIN);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(map(&w, i * LEVEL_1, 1, i, RW), 0);
	assert_true(stats(&w).full > 0 && stats(&w).bytes <= SHARED_TABLE_MIN);
	for (uint64_t i = 0; i < 200; i++)
		found += look_page(&w, i * LEVEL_1) == (int64_t)i;
	assert_int_equal(found, 200 - stats(&w).full);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){199ull * LEVEL_1 * PAGE}, RW), -ENOSPC);
	/* What is unmapped makes room. */
	unmap(&w, 0, 150 * LEVEL_1);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){199ull * LEVEL_1 * PAGE}, RW), 0);
	assert_int_equal(look_page(&w, 199 * LEVEL_1), 199);
	/* An invalidation of everything leaves nothing. */
	assert_int_equal(viommu_detach(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(stats(&w).bytes, PAGE);
	assert_int_equal(look_page(&w, 199 * LEVEL_1), -ENOENT);
	close_world(&w);
}

static void test_a_miss_is_a_fault_where_nothing_is_mapped(void **state)
{
	struct viommu_fault fault;
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, VIOMMU_READ), 0);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){7 * PAGE}, VIOMMU_WRITE), -EFAULT);
	assert_int_equal(viommu_fault_next(w.v, &fault), 0);
	assert_int_equal(fault.iova.value, 7 * PAGE);
	assert_int_equal(fault.access, VIOMMU_WRITE);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){5 * PAGE}, VIOMMU_WRITE), -EACCES);
	close_world(&w);
}

/* Bus mastering is off: nothing is found, whatever the driver maps, until it is on again. */
static void test_a_device_that_may_do_no_dma_finds_nothing(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	w.no_dma = true;
	assert_int_equal(viommu_quiesce(w.endpoint, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(map(&w, 6, 1, 10, RW), 0);
	assert_int_equal(look_page(&w, 5), -ENOENT);
	assert_int_equal(look_page(&w, 6), -ENOENT);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){5 * PAGE}, RW), -ECANCELED);
	w.no_dma = false;
	viommu_shared_refill(w.shared);
	assert_int_equal(look_page(&w, 5), 9);
	assert_int_equal(look_page(&w, 6), 10);
	close_world(&w);
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
	open_world(&w, 0);
	assert_int_equal(viommu__domain_create_walked(w.v, &walk_ops, NULL, &walked), 0);
	assert_int_equal(viommu_attach(w.endpoint, walked, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(look_page(&w, 600), -ENOENT);
	assert_int_equal(viommu_shared_miss(w.shared, (struct viommu_iova){600 * PAGE}, RW), 0);
	for (uint64_t page = 512; page < WALKED; page++)
		assert_int_equal(look_page(&w, page), page + 16);
	assert_int_equal(viommu__domain_evict(walked, (struct range){700 * PAGE, 701 * PAGE - 1}, false, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(look_page(&w, 699), 699 + 16);
	assert_int_equal(look_page(&w, 700), -ENOENT);
	assert_int_equal(look_page(&w, 701), 701 + 16);
	assert_int_equal(stats(&w).misses, 1);
	assert_int_equal(viommu_attach(w.endpoint, w.domain, w.inval), 0);
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	viommu_domain_destroy(walked);
	close_world(&w);
}

/* Hostile readers. */
static void test_epochs_that_cannot_be_fail_the_other_side(void **state)
{
	struct viommu_shared_reader reader;
	struct world w;

	(void)state;
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	viommu_shared_enter(w.view, 0, &reader);
	w.view->epochs[2].inside = UINT64_MAX;
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
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
	close_world(&w);
}

static void test_random_epochs_hurt_nobody(void **state)
{
	uint64_t random = 123456789;
	struct world w;

	(void)state;
	open_world(&w, 0);
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(map(&w, 5, 1, 9, RW), 0);
		for (unsigned slot = 0; slot < 4; slot++)
			w.view->epochs[slot].inside = draw(&random, i + 2);
		assert_int_equal(begin_unmap(&w, 5, 1), 0);
		viommu_shared_poll(w.shared);
		for (unsigned slot = 0; slot < 4; slot++)
			w.view->epochs[slot].inside = 0;
		assert_int_equal(viommu_shared_poll(w.shared), 0);
		assert_int_equal(viommu_inval_poll(w.inval), 0);
	}
	assert_int_equal(w.failed, 0);
	close_world(&w);
}

static void test_the_other_side_cannot_write_the_table(void **state)
{
	struct viommu_shared_files files;
	struct world w;
	char path[64];

	(void)state;
	open_world(&w, 0);
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
	close_world(&w);
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
	struct viommu_shared_run run;
	struct forgery f;

	(void)state;
	forge(&f, F_SEAL_SHRINK);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), 0);
	_Atomic uint64_t *node = (_Atomic uint64_t *)(void *)((uint8_t *)f.table + PAGE);
	/* A loop; offsets beyond the file, into the header, into the middle of a node; a node below the leaves; flags; a wrap. */
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
		assert_int_equal(viommu_shared_find(&reader, (struct viommu_iova){0}, RW, &run), cases[i].result);
		viommu_shared_leave(&reader);
	}
	viommu_shared_view_close(view);
	forget(&f);
}

static void test_random_tables_hurt_nobody(void **state)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_view *view;
	struct viommu_shared_run run;
	uint64_t random = 987654321;
	struct forgery f;

	(void)state;
	forge(&f, F_SEAL_SHRINK);
	assert_int_equal(viommu_shared_view_open(&f.files, &view), 0);
	uint64_t *words = (uint64_t *)f.table;

	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned j = 0; j < 64; j++)
			words[512 + draw(&random, FORGED / 8 - 512)] =
				draw(&random, 4) ? draw(&random, 6) * PAGE : draw(&random, UINT64_MAX);
		f.table->root =
			draw(&random, 2) ? draw(&random, 5) * PAGE | draw(&random, 8) : draw(&random, UINT64_MAX);
		viommu_shared_enter(view, (unsigned)i, &reader);
		for (unsigned j = 0; j < 64; j++) {
			struct viommu_iova iova = {draw(&random, UINT64_MAX) >> draw(&random, 52)};

			if (viommu_shared_find(&reader, iova, RW, &run))
				continue;
			assert_true(run.first.value <= iova.value && iova.value <= run.last.value);
			assert_true(run.gpa.value <= UINT64_MAX - (run.last.value - run.first.value));
		}
		viommu_shared_leave(&reader);
	}
	viommu_shared_view_close(view);
	forget(&f);
}

/* The reader in another process: sees maps, is waited for, and its death ends nothing by itself. */
static void child(const struct viommu_shared_files *files, int in, int out)
{
	struct viommu_shared_view *view;
	struct viommu_shared_reader reader;
	struct viommu_shared_run run;
	char byte;

	alarm(ALARM_S);
	if (viommu_shared_view_open(files, &view))
		_exit(1);
	viommu_shared_enter(view, 2, &reader);
	if (viommu_shared_find(&reader, (struct viommu_iova){5 * PAGE}, RW, &run) || run.gpa.value != 9 * PAGE)
		_exit(2);
	if (write(out, "i", 1) != 1 || read(in, &byte, 1) != 1)
		_exit(3);
	viommu_shared_leave(&reader);
	if (write(out, "o", 1) != 1)
		_exit(4);
	viommu_shared_enter(view, 2, &reader);
	if (viommu_shared_find(&reader, (struct viommu_iova){5 * PAGE}, RW, &run) != -ENOENT)
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
	open_world(&w, 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	viommu_shared_files_get(w.shared, &files);
	assert_int_equal(pipe(to) | pipe(from), 0);
	pid_t pid = fork();

	if (!pid)
		child(&files, to[0], from[1]);
	assert_true(pid > 0);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
	assert_int_equal(w.pending, 1);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_int_equal(write(to[1], "l", 1), 1);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* It died inside, but came in after the unmap. */
	assert_int_equal(viommu_shared_poll(w.shared), 0);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	assert_int_equal(map(&w, 5, 1, 9, RW), 0);
	assert_int_equal(begin_unmap(&w, 5, 1), 0);
	assert_int_equal(viommu_shared_poll(w.shared), -EAGAIN);
	viommu_shared_destroy(w.shared);
	w.shared = NULL;
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	for (unsigned i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
	close_world(&w);
}

static void test_a_configuration_that_cannot_be(void **state)
{
	static const struct viommu_shared_config bad[] = {
		{.table_bytes = PAGE},
		{.table_bytes = (1 << 20) + 1},
		{.table_bytes = 1ull << 31},
		{.slots = 1025},
	};
	struct viommu_shared *shared;
	struct world w;

	(void)state;
	open_world(&w, 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(viommu_shared_create(w.endpoint, &bad[i], &shared), -EINVAL);
	close_world(&w);
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
		cmocka_unit_test(test_destruction_ends_the_waiting),
		cmocka_unit_test(test_nodes_are_used_again_when_readers_have_left),
		cmocka_unit_test(test_a_full_table_keeps_nothing_more),
		cmocka_unit_test(test_a_miss_is_a_fault_where_nothing_is_mapped),
		cmocka_unit_test(test_a_device_that_may_do_no_dma_finds_nothing),
		cmocka_unit_test(test_a_miss_brings_the_whole_run),
		cmocka_unit_test(test_epochs_that_cannot_be_fail_the_other_side),
		cmocka_unit_test(test_random_epochs_hurt_nobody),
		cmocka_unit_test(test_the_other_side_cannot_write_the_table),
		cmocka_unit_test(test_files_are_looked_at_before_they_are_mapped),
		cmocka_unit_test(test_nodes_are_checked),
		cmocka_unit_test(test_random_tables_hurt_nobody),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_a_configuration_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
