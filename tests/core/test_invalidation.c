/* SPDX-License-Identifier: BSD-2-Clause */
/* Who an invalidation waits for: sections and holds that may use what it takes away, and nobody else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { RAM_SIZE = 1 << 20 };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domain, *other_domain;
	struct viommu_endpoint *endpoint, *sibling, *other; /* the first two share a domain */
	uint8_t *ram;
};

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static struct viommu_endpoint *add(struct fixture *f, uint32_t id, struct viommu_domain *domain)
{
	struct viommu_endpoint *endpoint;

	assert_int_equal(viommu_endpoint_add(f->v, id, "test", &endpoint), 0);
	assert_int_equal(viommu_attach(endpoint, domain, f->inval), 0);
	return endpoint;
}

static void map(struct viommu_domain *domain, uint64_t at)
{
	assert_int_equal(viommu_map(domain, iova(at), iova(at + 0xfff), (struct viommu_gpa){at}, 3), 0);
}

static void unmap(struct fixture *f, uint64_t at)
{
	uint64_t removed;

	assert_int_equal(viommu_unmap(f->domain, iova(at), iova(at + 0xfff), f->inval, &removed), 0);
	assert_int_equal(removed, 1);
	viommu_inval_begin(f->inval);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(4096, RAM_SIZE);
	memset(f->ram, 0, RAM_SIZE);
	assert_int_equal(viommu_create(NULL, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_domain_create(f->v, 2, &f->other_domain), 0);
	f->endpoint = add(f, 1, f->domain);
	f->sibling = add(f, 2, f->domain);
	f->other = add(f, 3, f->other_domain);
	map(f->domain, 0x1000);
	map(f->domain, 0x2000);
	map(f->other_domain, 0x1000);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct viommu_endpoint *endpoints[] = {f->endpoint, f->sibling, f->other};

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(viommu_detach(endpoints[i], f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(viommu_endpoint_remove(endpoints[i]), 0);
	viommu_domain_destroy(f->domain);
	viommu_domain_destroy(f->other_domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

/* Begin a section, translate and hold one page in it; the section stays open. */
static void use(struct viommu_endpoint *endpoint, uint64_t at, struct viommu_section *section, struct viommu_span *span,
		struct viommu_hold *hold)
{
	assert_int_equal(viommu_dma_begin(endpoint, section), 0);
	assert_int_equal(viommu_dma_translate(section, iova(at), 0x1000, VIOMMU_READ, span), 0);
	if (hold)
		viommu_dma_hold(section, hold, span, 1);
}

static void test_an_unmap_waits_for_an_open_section(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};
	struct viommu_span span;

	use(f->endpoint, 0x1000, &section, &span, NULL);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.waited, 1);
}

static void test_a_section_that_came_later_is_not_awaited(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	unmap(f, 0x1000);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_end(&section);
}

/* Nothing is taken away; an endpoint is waited for in whichever domain it is at work, and others are not. */
static void test_a_quiesce_waits_for_its_endpoint_alone(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section, sibling, later;
	struct viommu_span span, sibling_span;
	struct viommu_hold hold = {0};

	use(f->sibling, 0x1000, &sibling, &sibling_span, NULL);
	use(f->endpoint, 0x1000, &section, &span, &hold);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(viommu_dma_begin(f->endpoint, &later), 0);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_dma_translate(&later, iova(0x1000), 1, VIOMMU_READ, &span), 0);
	viommu_dma_end(&later);
	viommu_dma_end(&sibling);
}

/* It was detached meanwhile, and that invalidation waits for the hold as well. */
static void test_a_quiesce_waits_for_holds_of_an_old_domain(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_inval *other;
	struct viommu_hold hold = {0};
	struct viommu_span span;

	assert_int_equal(viommu_inval_create(f->v, &other), 0);
	use(f->endpoint, 0x1000, &section, &span, &hold);
	viommu_dma_end(&section);
	assert_int_equal(viommu_detach(f->endpoint, other), 0);
	viommu_inval_begin(other);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_inval_poll(other), 0);
	viommu_inval_destroy(other);
}

static void test_a_slot_that_is_used_again_is_not_awaited(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_end(&section);
}

static void test_other_domains_are_not_awaited(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->other, &section), 0);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_end(&section);
}

static void test_a_hold_is_awaited_after_its_section(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};

	use(f->endpoint, 0x1000, &section, &span, &hold);
	viommu_dma_end(&section);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_a_hold_taken_while_we_wait_is_awaited_too(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};

	use(f->endpoint, 0x1000, &section, &span, NULL);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_holds_of_other_ranges_are_not_awaited(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};

	use(f->endpoint, 0x2000, &section, &span, &hold);
	viommu_dma_end(&section);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_release(&hold);
}

static void test_a_hold_on_a_new_mapping_is_not_awaited(void **state)
{
	struct fixture *f = *state;
	struct viommu_section old, new;
	struct viommu_span span, new_span;
	struct viommu_hold hold = {0}, new_hold = {0};

	use(f->endpoint, 0x1000, &old, &span, &hold);
	viommu_dma_end(&old);
	unmap(f, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	map(f->domain, 0x1000);
	use(f->endpoint, 0x1000, &new, &new_span, &new_hold);
	viommu_dma_end(&new);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_release(&new_hold);
}

static void test_a_detach_waits_for_its_own_endpoint_only(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section, sibling;
	struct viommu_span span, sibling_span;
	struct viommu_hold hold = {0}, sibling_hold = {0};

	use(f->endpoint, 0x1000, &section, &span, &hold);
	use(f->sibling, 0x1000, &sibling, &sibling_span, &sibling_hold);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), -EBUSY);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_dma_end(&sibling);
	viommu_dma_release(&sibling_hold);
}

static void test_removed_memory_is_awaited_in_every_domain(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section, other;
	struct viommu_span span, other_span;
	struct viommu_hold hold = {0};

	use(f->endpoint, 0x1000, &section, &span, NULL);
	use(f->other, 0x1000, &other, &other_span, &hold);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){0}, f->inval), 0);
	viommu_inval_begin(f->inval);
	viommu_dma_end(&other);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_removed_memory_waits_for_any_section(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->other, &section), 0);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){0}, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_a_domain_outlives_its_owner_while_it_is_used(void **state)
{
	struct fixture *f = *state;
	struct viommu_domain *domain;
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_domain_create(f->v, 7, &domain), 0);
	map(domain, 0x5000);
	assert_int_equal(viommu_attach(f->endpoint, domain, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	use(f->endpoint, 0x5000, &section, &span, NULL);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_domain_destroy(domain);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(viommu_dma_translate(&section, iova(0x5000), 1, VIOMMU_READ, &span), 0);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_sections_run_out_politely(void **state)
{
	enum { SECTIONS = 1024 };
	static struct viommu_section sections[SECTIONS + 1];
	struct fixture *f = *state;

	for (unsigned i = 0; i < SECTIONS; i++)
		assert_int_equal(viommu_dma_begin(f->endpoint, &sections[i]), 0);
	assert_int_equal(viommu_dma_begin(f->endpoint, &sections[SECTIONS]), -EAGAIN);
	unmap(f, 0x1000);
	for (unsigned i = 0; i < SECTIONS; i++) {
		assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
		viommu_dma_end(&sections[i]);
	}
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static uint64_t table_bytes(struct fixture *f)
{
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(f->v, &stats);
	return stats.table_bytes;
}

/* An invalidation keeps a reference to the domain that it served last, and must not keep the domain. */
static void test_a_destroyed_domain_goes_at_once_when_all_is_complete(void **state)
{
	struct fixture *f = *state;
	struct viommu_domain *domain;
	uint64_t before = table_bytes(f);

	assert_int_equal(viommu_domain_create(f->v, 3, &domain), 0);
	for (unsigned i = 0; i < 4; i++)
		map(domain, i * 0x1000);
	for (unsigned i = 0; i < 3; i++) { /* the second and third use the reference that the one before them kept */
		assert_int_equal(viommu_unmap(domain, iova(i * 0x1000), iova(i * 0x1000 + 0xfff), f->inval, NULL), 0);
		viommu_inval_begin(f->inval);
		assert_int_equal(viommu_inval_poll(f->inval), 0);
	}
	viommu_domain_destroy(domain);
	assert_int_equal(table_bytes(f), before);
}

static void test_a_domain_destroyed_before_the_wait_goes_with_it(void **state)
{
	struct fixture *f = *state;
	struct viommu_domain *domain;
	uint64_t before = table_bytes(f);

	assert_int_equal(viommu_domain_create(f->v, 3, &domain), 0);
	for (unsigned i = 0; i < 4; i++)
		map(domain, i * 0x1000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(viommu_unmap(domain, iova(i * 0x1000), iova(i * 0x1000 + 0xfff), f->inval, NULL), 0);
	viommu_domain_destroy(domain);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(table_bytes(f), before);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_an_unmap_waits_for_an_open_section),
		CASE(test_a_section_that_came_later_is_not_awaited),
		CASE(test_a_slot_that_is_used_again_is_not_awaited),
		CASE(test_a_quiesce_waits_for_its_endpoint_alone),
		CASE(test_a_quiesce_waits_for_holds_of_an_old_domain),
		CASE(test_other_domains_are_not_awaited),
		CASE(test_a_hold_is_awaited_after_its_section),
		CASE(test_a_hold_taken_while_we_wait_is_awaited_too),
		CASE(test_holds_of_other_ranges_are_not_awaited),
		CASE(test_a_hold_on_a_new_mapping_is_not_awaited),
		CASE(test_a_detach_waits_for_its_own_endpoint_only),
		CASE(test_removed_memory_is_awaited_in_every_domain),
		CASE(test_removed_memory_waits_for_any_section),
		CASE(test_a_domain_outlives_its_owner_while_it_is_used),
		CASE(test_sections_run_out_politely),
		CASE(test_a_destroyed_domain_goes_at_once_when_all_is_complete),
		CASE(test_a_domain_destroyed_before_the_wait_goes_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
