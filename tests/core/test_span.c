/* SPDX-License-Identifier: BSD-2-Clause */
/* What a translation gives: host and guest-physical address, far and near, compiled in and through the library. */
#include <errno.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { PAGE = 4096, LOW_SIZE = 8 * PAGE, HIGH_GPA = 0x100000, HIGH_SIZE = 4 * PAGE };

typedef int (*translation)(struct viommu_section *section, struct viommu_iova iova, uint64_t len, unsigned access,
			   struct viommu_span *out);

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *low, *high;
};

static int compiled_in(struct viommu_section *section, struct viommu_iova iova, uint64_t len, unsigned access,
		       struct viommu_span *out)
{
	return viommu_dma_translate(section, iova, len, access, out);
}

static const translation both[] = {compiled_in, viommu_dma_translate};

static void map(struct world *w, uint64_t page, uint64_t gpa, unsigned access)
{
	const struct viommu_iova first = {page * PAGE}, last = {page * PAGE + PAGE - 1};

	assert_int_equal(viommu_map(w->domain, first, last, (struct viommu_gpa){gpa}, access), 0);
}

/* Two regions; IOVA pages 0 and 1 lie in a row in the lower, page 2 in the higher one, page 3 nowhere. */
static void world_init(struct world *w)
{
	w->low = aligned_alloc(PAGE, LOW_SIZE);
	w->high = aligned_alloc(PAGE, HIGH_SIZE);
	assert_int_equal(viommu_create(NULL, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, LOW_SIZE, w->low, -1, 0), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){HIGH_GPA}, HIGH_SIZE, w->high, -1, 0), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 8, "test", &w->endpoint), 0);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	map(w, 0, 3 * PAGE, VIOMMU_READ | VIOMMU_WRITE);
	map(w, 1, 4 * PAGE, VIOMMU_READ | VIOMMU_WRITE);
	map(w, 2, HIGH_GPA + PAGE, VIOMMU_READ);
}

static void world_fini(struct world *w)
{
	assert_int_equal(viommu_detach(w->endpoint, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_inval_destroy(w->inval);
	viommu_destroy(w->v);
	free(w->low);
	free(w->high);
}

static void expect_span(const struct viommu_span *span, uint64_t iova, uint64_t len, const uint8_t *host, uint64_t gpa)
{
	assert_int_equal(span->iova.value, iova);
	assert_int_equal(span->len, len);
	assert_ptr_equal(span->host, host);
	assert_int_equal(span->gpa.value, gpa);
}

static void check(struct viommu_section *section, translation translate, uint64_t iova, uint64_t len, uint8_t *host,
		  uint64_t gpa, uint64_t expected)
{
	struct viommu_span span;

	assert_int_equal(translate(section, (struct viommu_iova){iova}, len, VIOMMU_READ, &span), 0);
	expect_span(&span, iova, expected, host, gpa);
}

static void test_a_span_says_where_it_lies_for_host_and_guest(void **state)
{
	struct viommu_section section;
	struct world w;

	(void)state;
	world_init(&w);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
		check(&section, both[i], 0x10, 2 * PAGE, w.low + 3 * PAGE + 0x10, 3 * PAGE + 0x10, 2 * PAGE - 0x10);
		check(&section, both[i], 0x0, 16, w.low + 3 * PAGE, 3 * PAGE, 16);            /* near */
		check(&section, both[i], PAGE + 8, 8, w.low + 4 * PAGE + 8, 4 * PAGE + 8, 8); /* near */
		check(&section, both[i], 2 * PAGE + 4, 4, w.high + PAGE + 4, HIGH_GPA + PAGE + 4, 4);
		check(&section, both[i], 2 * PAGE + 8, PAGE, w.high + PAGE + 8, HIGH_GPA + PAGE + 8, PAGE - 8);
		check(&section, both[i], 1, 1, w.low + 3 * PAGE + 1, 3 * PAGE + 1, 1);
		viommu_dma_end(&section);
	}
	world_fini(&w);
}

static void test_nearness_grants_nothing(void **state)
{
	struct viommu_section section;
	struct viommu_span span;
	struct world w;

	(void)state;
	world_init(&w);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
		check(&section, both[i], 2 * PAGE, 8, w.high + PAGE, HIGH_GPA + PAGE, 8);
		const struct viommu_iova near = {2 * PAGE}, beyond = {3 * PAGE};

		assert_int_equal(both[i](&section, near, 8, VIOMMU_WRITE, &span), -EACCES);
		assert_int_equal(both[i](&section, near, 8, VIOMMU_READ | VIOMMU_WRITE, &span), -EACCES);
		assert_int_equal(both[i](&section, near, 0, VIOMMU_READ, &span), -EINVAL);
		assert_int_equal(both[i](&section, near, UINT64_MAX, VIOMMU_READ, &span), -EINVAL);
		assert_int_equal(both[i](&section, beyond, 1, VIOMMU_READ, &span), -EFAULT);
		viommu_dma_end(&section);
		/* A new section begins with nothing near, whatever an old one has left in it. */
		assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
		assert_false(viommu_section_near(&section, near, 1, 0, &span));
		viommu_dma_end(&section);
	}
	world_fini(&w);
}

static bool walks(const struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access)
{
	struct viommu_span span;

	return viommu_section_walk(section, (struct viommu_iova){iova}, len, access, &span);
}

/* The same by the library, near or far, and by the walk alone. */
static void check_walk(struct viommu_section *section, uint64_t iova, uint64_t len, uint8_t *host, uint64_t gpa)
{
	struct viommu_span span;

	check(section, viommu_dma_translate, iova, len, host, gpa, len);
	assert_true(viommu_section_walk(section, (struct viommu_iova){iova}, len, VIOMMU_READ, &span));
	expect_span(&span, iova, len, host, gpa);
}

static void test_a_walk_begins_with_the_first_translation(void **state)
{
	struct viommu_section section;
	struct world w;

	(void)state;
	world_init(&w);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
		assert_false(walks(&section, 0, 8, VIOMMU_READ));
		check(&section, viommu_dma_translate, 0, 8, w.low + 3 * PAGE, 3 * PAGE, 8);
		assert_true(walks(&section, PAGE, 8, VIOMMU_READ));
		check_walk(&section, PAGE + 16, 8, w.low + 4 * PAGE + 16, 4 * PAGE + 16);
		check_walk(&section, PAGE + 16, PAGE - 16, w.low + 4 * PAGE + 16, 4 * PAGE + 16);
		viommu_dma_end(&section);
	}
	world_fini(&w);
}

static void test_a_walk_grants_nothing(void **state)
{
	static const uint64_t beyond[] = {7 * PAGE, (1ull << 21) + PAGE, (1ull << 30) + PAGE, 1ull << 57,
					  -(uint64_t)PAGE};
	struct viommu_section section;
	struct viommu_span span;
	struct world w;

	(void)state;
	world_init(&w);
	map(&w, 4, 5 * PAGE, VIOMMU_READ | VIOMMU_MMIO);
	map(&w, 5, 6 * PAGE, VIOMMU_WRITE);
	map(&w, 6, 9 * PAGE, VIOMMU_READ | VIOMMU_WRITE); /* no memory: behind the lower region */
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	check(&section, viommu_dma_translate, 0, 8, w.low + 3 * PAGE, 3 * PAGE, 8);
	assert_true(walks(&section, 0, 8, VIOMMU_READ | VIOMMU_WRITE));
	assert_false(walks(&section, 0, 8, 0));
	assert_false(walks(&section, 0, 8, VIOMMU_READ | VIOMMU_MMIO));
	assert_false(walks(&section, 0, 8, VIOMMU_READ | 1u << 7));
	assert_false(walks(&section, 0, 0, VIOMMU_READ));
	assert_false(walks(&section, 8, UINT64_MAX, VIOMMU_READ));
	assert_false(walks(&section, 8, PAGE - 7, VIOMMU_READ));
	assert_false(walks(&section, 2 * PAGE, 8, VIOMMU_READ)); /* of the higher region */
	assert_false(walks(&section, 4 * PAGE, 8, VIOMMU_READ));
	assert_false(walks(&section, 5 * PAGE, 8, VIOMMU_READ));
	assert_false(walks(&section, 5 * PAGE, 8, VIOMMU_READ | VIOMMU_WRITE));
	assert_true(walks(&section, 5 * PAGE, 8, VIOMMU_WRITE));
	assert_false(walks(&section, 6 * PAGE, 8, VIOMMU_READ));
	for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		assert_false(walks(&section, beyond[i], 8, VIOMMU_READ));
		assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){beyond[i]}, 8, VIOMMU_READ, &span),
				 -EFAULT);
	}
	/* It follows the section into the other region, where the rest is read only. */
	check_walk(&section, 2 * PAGE, 8, w.high + PAGE, HIGH_GPA + PAGE);
	assert_false(walks(&section, 2 * PAGE, 8, VIOMMU_WRITE));
	assert_false(walks(&section, PAGE, 8, VIOMMU_READ));
	viommu_dma_end(&section);
	world_fini(&w);
}

static void unmap(struct world *w, uint64_t page)
{
	const struct viommu_iova first = {page * PAGE}, last = {page * PAGE + PAGE - 1};
	uint64_t removed;

	assert_int_equal(viommu_unmap(w->domain, first, last, w->inval, &removed), 0);
	assert_int_equal(removed, 1);
}

/* Roots of the table come and go while a section keeps the one that it saw first. */
static void test_a_walk_sees_what_becomes_of_the_table(void **state)
{
	enum { LOW = 2 << 9, HIGH = 1 << 28 }; /* pages of the second and of the fourth level */
	struct viommu_section section;
	struct world w;

	(void)state;
	world_init(&w);
	map(&w, LOW, PAGE, VIOMMU_READ);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	check(&section, viommu_dma_translate, PAGE, 8, w.low + 4 * PAGE, 4 * PAGE, 8);
	check_walk(&section, (uint64_t)LOW * PAGE, 8, w.low + PAGE, PAGE);
	map(&w, HIGH, 2 * PAGE, VIOMMU_READ);
	assert_false(walks(&section, (uint64_t)HIGH * PAGE, 8, VIOMMU_READ)); /* the old root */
	check_walk(&section, (uint64_t)HIGH * PAGE, 8, w.low + 2 * PAGE, 2 * PAGE);
	unmap(&w, HIGH); /* shrinks the table */
	assert_false(walks(&section, (uint64_t)HIGH * PAGE, 8, VIOMMU_READ));
	check_walk(&section, (uint64_t)LOW * PAGE, 8, w.low + PAGE, PAGE);
	unmap(&w, LOW); /* and once more */
	assert_false(walks(&section, (uint64_t)LOW * PAGE, 8, VIOMMU_READ));
	assert_true(walks(&section, PAGE, 8, VIOMMU_READ));
	map(&w, LOW, 5 * PAGE, VIOMMU_READ);
	check_walk(&section, PAGE, 8, w.low + 4 * PAGE, 4 * PAGE);
	check(&section, viommu_dma_translate, (uint64_t)LOW * PAGE, 8, w.low + 5 * PAGE, 5 * PAGE, 8);
	/* What was taken off stays until the section ends. */
	viommu_inval_begin(w.inval);
	assert_int_equal(viommu_inval_poll(w.inval), -EAGAIN);
	assert_true(walks(&section, PAGE, 8, VIOMMU_READ));
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(w.inval), 0);
	world_fini(&w);
}

/* Large leaves and the highest level of the table are found in the library. */
static void test_a_walk_leaves_other_leaves_to_the_library(void **state)
{
	const struct viommu_iova first = {2ull << 21}, last = {(3ull << 21) - 1}, top = {-(uint64_t)PAGE};
	struct viommu_section section;
	struct viommu_span span;
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(viommu_map(w.domain, first, last, (struct viommu_gpa){0}, VIOMMU_READ), 0);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	check(&section, viommu_dma_translate, PAGE, 8, w.low + 4 * PAGE, 4 * PAGE, 8);
	assert_false(walks(&section, first.value + PAGE, 8, VIOMMU_READ));
	check(&section, viommu_dma_translate, first.value + PAGE, 8, w.low + PAGE, PAGE, 8);
	viommu_dma_end(&section);
	assert_int_equal(
		viommu_map(w.domain, top, (struct viommu_iova){UINT64_MAX}, (struct viommu_gpa){2 * PAGE}, VIOMMU_READ),
		0);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	check(&section, viommu_dma_translate, top.value, 8, w.low + 2 * PAGE, 2 * PAGE, 8);
	assert_false(walks(&section, PAGE, 8, VIOMMU_READ));
	check(&section, viommu_dma_translate, PAGE, 8, w.low + 4 * PAGE, 4 * PAGE, 8);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){3 * PAGE}, 8, VIOMMU_READ, &span),
			 -EFAULT);
	viommu_dma_end(&section);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_walk_begins_with_the_first_translation),
		cmocka_unit_test(test_a_walk_grants_nothing),
		cmocka_unit_test(test_a_walk_sees_what_becomes_of_the_table),
		cmocka_unit_test(test_a_walk_leaves_other_leaves_to_the_library),
		cmocka_unit_test(test_a_span_says_where_it_lies_for_host_and_guest),
		cmocka_unit_test(test_nearness_grants_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
