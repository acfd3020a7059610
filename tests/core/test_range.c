/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/util/index.h"
#include "lib/util/range.h"
#include "tests/support/test.h"

static void test_from_len_refuses_empty_and_wrap(void **state)
{
	struct range r;

	(void)state;
	assert_false(range_from_len(0, 0, &r));
	assert_false(range_from_len(UINT64_MAX, 2, &r));
	assert_false(range_from_len(2, UINT64_MAX, &r));
	assert_true(range_from_len(UINT64_MAX, 1, &r));
	assert_true(r.first == UINT64_MAX && r.last == UINT64_MAX);
	assert_true(range_from_len(1, UINT64_MAX, &r));
	assert_true(r.first == 1 && r.last == UINT64_MAX);
}

/* Every pair of ranges in a small space, against the definition. */
static void test_overlap_and_containment_by_definition(void **state)
{
	enum { SPACE = 6 };

	(void)state;
	for (unsigned bits = 0; bits < SPACE * SPACE * SPACE * SPACE; bits++) {
		struct range a = {bits % SPACE, bits / SPACE % SPACE};
		struct range b = {bits / SPACE / SPACE % SPACE, bits / SPACE / SPACE / SPACE};
		bool overlap = false, inside = true;

		if (a.first > a.last || b.first > b.last)
			continue;
		for (uint64_t x = b.first; x <= b.last; x++) {
			overlap |= range_has(a, x);
			inside &= range_has(a, x);
		}
		assert_int_equal(range_overlaps(a, b), overlap);
		assert_int_equal(range_contains(a, b), inside);
	}
}

static void test_alignment_includes_the_end_of_the_space(void **state)
{
	(void)state;
	assert_true(range_aligned((struct range){0, UINT64_MAX}, 4096));
	assert_true(range_aligned((struct range){4096, 8191}, 4096));
	assert_false(range_aligned((struct range){4096, 8192}, 4096));
	assert_false(range_aligned((struct range){1, 4095}, 4096));
}

static void test_indices_are_unique_and_reused(void **state)
{
	static struct index_pool pool;

	(void)state;
	for (unsigned i = 1; i <= INDEX_MAX; i++)
		assert_int_equal(index_get(&pool), i);
	assert_int_equal(index_get(&pool), 0);
	index_put(&pool, 777);
	assert_int_equal(index_get(&pool), 777);
	assert_int_equal(index_get(&pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_len_refuses_empty_and_wrap),
		cmocka_unit_test(test_overlap_and_containment_by_definition),
		cmocka_unit_test(test_alignment_includes_the_end_of_the_space),
		cmocka_unit_test(test_indices_are_unique_and_reused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
