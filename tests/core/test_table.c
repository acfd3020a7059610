/* SPDX-License-Identifier: BSD-2-Clause */
/* The radix tree against a brute-force reference: a list of mappings that is searched from end to end. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/table.h"
#include "tests/support/test.h"

enum { MAX_MAPPINGS = 4096 };

struct mapping {
	struct range pages;
	uint64_t gpa;
	unsigned access;
};

struct model {
	struct mapping mappings[MAX_MAPPINGS];
	unsigned count;
};

static const uint64_t LAST_PAGE = UINT64_MAX >> TABLE_PAGE_SHIFT;

static uint64_t random_state = 88172645463325252ull;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t limit)
{
	return rnd() % limit;
}

static int model_map(struct model *model, struct mapping mapping)
{
	for (unsigned i = 0; i < model->count; i++)
		if (range_overlaps(model->mappings[i].pages, mapping.pages))
			return -EEXIST;
	model->mappings[model->count++] = mapping;
	return 0;
}

static bool model_splits(const struct model *model, struct range pages)
{
	for (unsigned i = 0; i < model->count; i++)
		if (range_overlaps(model->mappings[i].pages, pages) && !range_contains(pages, model->mappings[i].pages))
			return true;
	return false;
}

static uint64_t model_unmap(struct model *model, struct range pages)
{
	uint64_t removed = 0;

	for (unsigned i = 0; i < model->count;) {
		if (range_contains(pages, model->mappings[i].pages)) {
			model->mappings[i] = model->mappings[--model->count];
			removed++;
		} else
			i++;
	}
	return removed;
}

/* The first page from here on that is mapped. */
static void check_next(const struct table *table, const struct model *model, uint64_t page)
{
	uint64_t first = UINT64_MAX, found = UINT64_MAX;

	for (unsigned i = 0; i < model->count; i++) {
		struct range pages = model->mappings[i].pages;

		if (pages.last >= page && (pages.first > page ? pages.first : page) < first)
			first = pages.first > page ? pages.first : page;
	}
	assert_int_equal(table_next(table, page, &found), first != UINT64_MAX);
	assert_true(found == first);
}

static void check_page(const struct table *table, const struct model *model, uint64_t page)
{
	const struct mapping *mapping = NULL;
	struct table_hit hit = {0};

	for (unsigned i = 0; i < model->count && !mapping; i++)
		if (range_has(model->mappings[i].pages, page))
			mapping = &model->mappings[i];
	assert_int_equal(table_find(table, page, &hit), mapping != NULL);
	check_next(table, model, page);
	if (!mapping)
		return;
	assert_true(hit.gpa == mapping->gpa + ((page - mapping->pages.first) << TABLE_PAGE_SHIFT));
	assert_int_equal(hit.access, mapping->access);
	assert_true(hit.pages >= 1 && hit.pages <= mapping->pages.last - page + 1);
}

/* Ranges of all sizes, many of them at places where something happens: table borders, neighbours, the ends of space. */
static struct range random_range(const struct model *model)
{
	static const uint64_t places[] = {0, 511, 512, 1 << 18, (1 << 18) + 512, 1 << 27, 1ull << 36, 1ull << 45};
	uint64_t first = places[below(8)] + below(600), size = 1 + below(4);

	if (below(4) == 0 && model->count) {
		const struct mapping *neighbour = &model->mappings[below(model->count)];

		first = below(2) ? neighbour->pages.first : neighbour->pages.last + 1;
	}
	if (below(20) == 0)
		size = 1ull << below(30);
	if (below(60) == 0)
		size += below(1 << 20);
	if (below(200) == 0)
		return (struct range){LAST_PAGE - below(600), LAST_PAGE};
	if (first > LAST_PAGE - size)
		first = LAST_PAGE - size;
	return (struct range){first, first + size - 1};
}

static void check_around(const struct table *table, const struct model *model, struct range pages)
{
	check_page(table, model, pages.first);
	check_page(table, model, pages.last);
	check_page(table, model, pages.first + below(pages.last - pages.first + 1));
	if (pages.first)
		check_page(table, model, pages.first - 1);
	if (pages.last < LAST_PAGE)
		check_page(table, model, pages.last + 1);
}

static void step(struct table *table, struct model *model)
{
	struct table_retired retired = {NULL};
	struct range pages = random_range(model);

	if (below(3) && model->count < MAX_MAPPINGS) {
		struct mapping mapping = {pages, below(1ull << 40) << TABLE_PAGE_SHIFT, (unsigned)below(8)};

		assert_int_equal(table_map(table, pages, mapping.gpa, mapping.access), model_map(model, mapping));
	} else {
		bool splits = model_splits(model, pages);

		assert_int_equal(table_splits(table, pages), splits);
		if (!splits)
			assert_true(table_unmap(table, pages, &retired) == model_unmap(model, pages));
		table_recycle(table, &retired);
	}
	assert_true(table->mappings == model->count);
	check_around(table, model, pages);
	check_around(table, model, random_range(model));
}

static void test_random_steps_match_the_reference(void **state)
{
	static struct model model;

	(void)state;
	for (unsigned seed = 1; seed <= (getenv("FULL") ? 100 : 5); seed++) {
		struct table table;

		random_state = seed * 0x9e3779b97f4a7c15ull;
		model.count = 0;
		table_init(&table, UINT64_MAX);
		for (unsigned i = 0; i < 40000; i++)
			step(&table, &model);
		table_fini(&table);
		assert_true(table.bytes == 0);
	}
}

static void test_the_whole_space_is_few_leaves(void **state)
{
	struct range all = {0, LAST_PAGE}, low = {0, 0xfedff}, high = {0xfef00, LAST_PAGE};
	struct table_retired retired = {NULL};
	struct table table;
	struct table_hit hit;

	(void)state;
	table_init(&table, 1 << 20);
	assert_int_equal(table_map(&table, all, 0, 3), 0);
	assert_true(table_find(&table, LAST_PAGE, &hit) && hit.gpa == LAST_PAGE << TABLE_PAGE_SHIFT);
	assert_true(table.bytes <= 2 * sizeof(struct table_node));
	assert_int_equal(table_unmap(&table, all, &retired), 1);
	table_recycle(&table, &retired);

	/* What Linux maps for an identity domain: everything but the MSI window. */
	assert_int_equal(table_map(&table, low, 0, 3), 0);
	assert_int_equal(table_map(&table, high, high.first << TABLE_PAGE_SHIFT, 3), 0);
	assert_false(table_find(&table, 0xfee00, &hit));
	assert_true(table_find(&table, 0x12345678, &hit) && hit.gpa == 0x12345678000);
	assert_int_equal(table_unmap(&table, all, &retired), 2);
	table_recycle(&table, &retired);
	table_fini(&table);
}

static void test_dense_mappings_take_little_memory(void **state)
{
	enum { PAGES = 1 << 16 };
	struct table table;

	(void)state;
	table_init(&table, UINT64_MAX);
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(table_map(&table, (struct range){page, page}, page << TABLE_PAGE_SHIFT, 3), 0);
	assert_true(table.bytes <= 24 * PAGES);
	table_fini(&table);
}

static void test_the_limit_holds_and_nothing_changes(void **state)
{
	struct table_retired retired = {NULL};
	struct table table;
	struct table_hit hit;
	uint64_t page = 0;
	int err = 0;

	(void)state;
	table_init(&table, 64 * sizeof(struct table_node));
	while (!err)
		err = table_map(&table, (struct range){page, page}, 0, 3), page += 1 << 18;
	assert_int_equal(err, -ENOSPC);
	assert_false(table_find(&table, page - (1 << 18), &hit));
	assert_true(table.bytes <= 64 * sizeof(struct table_node));
	/* What was taken comes back, and the table can be used again. */
	table_unmap(&table, (struct range){0, LAST_PAGE}, &retired);
	table_recycle(&table, &retired);
	assert_int_equal(table_map(&table, (struct range){1ull << 40, 1ull << 40}, 0, 3), 0);
	table_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_steps_match_the_reference),
		cmocka_unit_test(test_the_whole_space_is_few_leaves),
		cmocka_unit_test(test_dense_mappings_take_little_memory),
		cmocka_unit_test(test_the_limit_holds_and_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
