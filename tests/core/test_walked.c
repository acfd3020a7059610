/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walked domains, with a table format as simple as can be: one word for each page, in an array that stands for the
 * guest's memory.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/core/inval.h"
#include "tests/support/test.h"

enum { PAGE = 4096, PAGES = 64, RAM_SIZE = PAGES * PAGE, LARGE = 512 };
enum { REASON_ABSENT = 0x77, DOMAIN_NUMBER = 42 };

struct fixture {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *ram;
	_Atomic uint64_t entries[2 * LARGE]; /* guest address | rights, 0: not present; the model's table */
	bool large;                          /* the entry of page 512 stands for 512 pages */
	bool once;                           /* what a walk finds is not to be kept */
	_Atomic unsigned walks;
	void (*overtake)(struct fixture *f); /* once, when a walk has read its entry; NULL: nothing */
};

static int walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	struct fixture *f = opaque;
	uint64_t page = iova / PAGE, pages = f->large && page >= LARGE ? LARGE : 1;
	uint64_t entry = page < 2 * LARGE ? atomic_load(&f->entries[page & ~(pages - 1)]) : 0;
	uint64_t first = (page & ~(pages - 1)) * PAGE;

	assert_non_null(memory);
	atomic_fetch_add(&f->walks, 1);
	if (f->overtake) {
		void (*overtake)(struct fixture *) = f->overtake;

		f->overtake = NULL;
		overtake(f);
	}
	*result = (struct walk_result){.domain_id = DOMAIN_NUMBER};
	if (!entry || access & ~entry & 3) {
		result->reason = entry ? VIOMMU_FAULT_PERMISSION : VIOMMU_FAULT_NOT_MAPPED;
		result->detail = REASON_ABSENT;
		return -EFAULT;
	}
	result->iova = (struct range){first, first + pages * PAGE - 1};
	result->gpa = entry & ~(uint64_t)(PAGE - 1);
	result->access = entry & 3;
	result->once = f->once;
	return 0;
}

static const struct walk_ops ops = {.walk = walk};

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	while (viommu_inval_poll(f->inval))
		sched_yield();
}

static void evict(struct fixture *f, uint64_t first, uint64_t last)
{
	assert_int_equal(viommu__domain_evict(f->domain, (struct range){first, last}, false, f->inval), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(PAGE, RAM_SIZE);
	for (unsigned i = 0; i < RAM_SIZE; i++)
		f->ram[i] = (uint8_t)(i / PAGE);
	assert_int_equal(viommu_create(NULL, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu__domain_create_walked(f->v, &ops, f, &f->domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 8, "walked", &f->endpoint), 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

/* What a read of one byte gives: the number of the page of memory, or an error. */
static int peek(struct fixture *f, uint64_t page)
{
	uint8_t byte;
	int err = viommu_dma_read(f->endpoint, (struct viommu_iova){page * PAGE + 5}, &byte, 1);

	return err ? err : byte;
}

static void test_a_miss_walks_once(void **state)
{
	struct fixture *f = *state;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	assert_int_equal(peek(f, 3), 7);
	assert_int_equal(peek(f, 3), 7);
	assert_int_equal(f->walks, 1);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.walks, 1);
}

/* Devices that keep nothing do not wait for each other, nor for the thread that has the lock. */
static void test_what_is_not_kept_takes_no_lock(void **state)
{
	struct fixture *f = *state;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	f->once = true;
	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	alarm(10);
	spin_take(&f->domain->lock);
	assert_int_equal(peek(f, 3), 7);
	assert_int_equal(peek(f, 3), 7);
	assert_int_equal(peek(f, 4), -EFAULT);
	spin_drop(&f->domain->lock);
	alarm(0);
	assert_int_equal(f->walks, 3);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.walks, 3);
	assert_int_equal(atomic_load(&f->domain->id), DOMAIN_NUMBER);
}

static void test_not_present_is_never_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(peek(f, 3), -EFAULT);
	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	assert_int_equal(peek(f, 3), 7);
}

static void test_an_entry_is_used_until_it_is_invalidated(void **state)
{
	struct fixture *f = *state;

	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	assert_int_equal(peek(f, 3), 7);
	f->entries[3] = 8 * PAGE | VIOMMU_READ;
	evict(f, 4 * PAGE, UINT64_MAX);
	complete(f);
	assert_int_equal(peek(f, 3), 7); /* another range */
	evict(f, 3 * PAGE + 100, 3 * PAGE + 100);
	complete(f);
	assert_int_equal(peek(f, 3), 8);
}

static void test_more_rights_need_no_invalidation(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 1;

	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	assert_int_equal(peek(f, 3), 7);
	assert_int_equal(viommu_dma_write(f->endpoint, (struct viommu_iova){3 * PAGE}, &byte, 1), -EACCES);
	f->entries[3] |= VIOMMU_WRITE;
	assert_int_equal(viommu_dma_write(f->endpoint, (struct viommu_iova){3 * PAGE}, &byte, 1), 0);
	unsigned walks = f->walks;

	assert_int_equal(viommu_dma_write(f->endpoint, (struct viommu_iova){3 * PAGE}, &byte, 1), 0);
	assert_int_equal(f->walks, walks);
}

static void test_a_large_leaf_goes_as_a_whole(void **state)
{
	struct fixture *f = *state;

	f->large = true;
	f->entries[LARGE] = VIOMMU_READ;
	assert_int_equal(peek(f, LARGE + 9), 9);
	assert_int_equal(peek(f, LARGE + 10), 10);
	assert_int_equal(f->walks, 1);
	f->entries[LARGE] = 0;
	evict(f, (LARGE + 400) * PAGE, (LARGE + 400) * PAGE);
	complete(f);
	assert_int_equal(peek(f, LARGE + 9), -EFAULT);
}

static void test_a_large_leaf_broken_up(void **state)
{
	struct fixture *f = *state;

	f->large = true;
	f->entries[LARGE] = VIOMMU_READ;
	assert_int_equal(peek(f, LARGE + 9), 9);
	f->large = false;
	f->entries[LARGE + 9] = 20 * PAGE | VIOMMU_READ;
	evict(f, LARGE * PAGE, (2ull * LARGE) * PAGE - 1);
	complete(f);
	assert_int_equal(peek(f, LARGE + 9), 20);
	assert_int_equal(peek(f, LARGE + 10), -EFAULT);
}

static void test_an_access_over_several_leaves(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[3 * PAGE];

	for (unsigned i = 0; i < 3; i++)
		f->entries[i + 1] = (10ull - i) * PAGE | VIOMMU_READ;
	assert_int_equal(viommu_dma_read(f->endpoint, (struct viommu_iova){PAGE}, bytes, sizeof(bytes)), 0);
	assert_int_equal(bytes[0], 10);
	assert_int_equal(bytes[PAGE], 9);
	assert_int_equal(bytes[3 * PAGE - 1], 8);
	f->entries[2] = 0;
	evict(f, 0, UINT64_MAX);
	complete(f);
	assert_int_equal(viommu_dma_read(f->endpoint, (struct viommu_iova){PAGE}, bytes, sizeof(bytes)), -EFAULT);
}

static void test_a_fault_carries_the_models_words(void **state)
{
	struct fixture *f = *state;
	struct viommu_fault fault;

	assert_int_equal(peek(f, 3), -EFAULT);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.detail, REASON_ABSENT);
	assert_int_equal(fault.domain, DOMAIN_NUMBER);
	assert_int_equal(fault.reason, VIOMMU_FAULT_NOT_MAPPED);
	assert_int_equal(fault.iova.value, 3 * PAGE + 5);
	f->entries[3] = RAM_SIZE | VIOMMU_READ;
	assert_int_equal(peek(f, 3), -EFAULT);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.reason, VIOMMU_FAULT_NO_MEMORY);
	assert_int_equal(fault.domain, DOMAIN_NUMBER);
}

static void test_a_full_table_still_translates(void **state)
{
	struct viommu_config config = {.size = sizeof(struct viommu_config), .domain_table_bytes = 16384};
	struct fixture f = {0};
	struct fixture *outer = *state;

	f.ram = outer->ram;
	for (unsigned i = 0; i < 2 * LARGE; i++)
		f.entries[i] = i % PAGES * PAGE | VIOMMU_READ;
	assert_int_equal(viommu_create(&config, &f.v), 0);
	assert_int_equal(viommu_mem_add(f.v, (struct viommu_gpa){0}, RAM_SIZE, f.ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f.v, &f.inval), 0);
	assert_int_equal(viommu__domain_create_walked(f.v, &ops, &f, &f.domain), 0);
	assert_int_equal(viommu_endpoint_add(f.v, 8, "walked", &f.endpoint), 0);
	assert_int_equal(viommu_attach(f.endpoint, f.domain, f.inval), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned page = 0; page < 2 * LARGE; page++)
			assert_int_equal(peek(&f, page), page % PAGES);
		evict(&f, 0, PAGE);
		complete(&f);
	}
	assert_int_equal(viommu_detach(f.endpoint, f.inval), 0);
	complete(&f);
	assert_int_equal(viommu_endpoint_remove(f.endpoint), 0);
	viommu_domain_destroy(f.domain);
	viommu_inval_destroy(f.inval);
	viommu_destroy(f.v);
}

static void test_it_cannot_be_mapped_by_hand(void **state)
{
	struct fixture *f = *state;
	struct viommu_iova first = {0}, last = {PAGE - 1};

	assert_int_equal(viommu_map(f->domain, first, last, (struct viommu_gpa){0}, 1), -EINVAL);
	assert_int_equal(viommu_unmap(f->domain, first, last, f->inval, NULL), -EINVAL);
}

static void test_an_invalidation_waits_for_a_section_that_walked(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){3 * PAGE}, 8, VIOMMU_READ, &span), 0);
	evict(f, 3 * PAGE, 3 * PAGE);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

/* The guest turns an entry and invalidates it, while a walk is under way that has read the old one. */
static void turn_entry(struct fixture *f)
{
	f->entries[3] = 8 * PAGE | VIOMMU_READ;
	evict(f, 3 * PAGE, 3 * PAGE);
	viommu_inval_begin(f->inval);
}

static void test_what_a_walk_found_too_early_is_not_kept(void **state)
{
	struct fixture *f = *state;

	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	f->overtake = turn_entry;
	assert_int_equal(peek(f, 3), 7); /* the invalidation waits for this section */
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(peek(f, 3), 8);
}

struct told {
	struct viommu_client *client;
	unsigned count;
	uint64_t first, last;
};

static void hear(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct told *told = opaque;

	told->count++;
	told->first = first.value;
	told->last = last.value;
	viommu_client_ack(told->client, ticket);
}

static void test_ats_has_invalidations_of_its_own(void **state)
{
	static const struct viommu_client_ops client_ops = {.size = sizeof(struct viommu_client_ops),
							    .invalidate = hear};
	struct fixture *f = *state;
	struct told told = {0};

	assert_int_equal(viommu_client_register(f->endpoint, &client_ops, &told, &told.client), 0);
	assert_int_equal(viommu__domain_evict(f->domain, (struct range){PAGE, 2 * PAGE - 1}, true, f->inval), 0);
	complete(f);
	assert_int_equal(told.count, 1);
	viommu_endpoint_set_ats(f->endpoint, true);
	assert_int_equal(viommu__domain_evict(f->domain, (struct range){PAGE, 2 * PAGE - 1}, true, f->inval), 0);
	complete(f);
	assert_int_equal(told.count, 1);
	assert_int_equal(viommu__domain_evict(f->domain, (struct range){PAGE, 2 * PAGE - 1}, false, f->inval), 0);
	complete(f);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.first, PAGE);
	assert_int_equal(told.last, 2 * PAGE - 1);
	viommu_client_unregister(told.client);
}

static int take(void *opaque, const struct viommu_extent *extent)
{
	*(uint64_t *)opaque = extent->gpa.value;
	return 0;
}

static void test_what_is_translated_too_early_is_not_handed_on(void **state)
{
	static const struct viommu_client_ops client_ops = {.size = sizeof(struct viommu_client_ops),
							    .invalidate = hear};
	struct fixture *f = *state;
	struct told told = {0};
	uint64_t gpa = 0;

	assert_int_equal(viommu_client_register(f->endpoint, &client_ops, &told, &told.client), 0);
	f->entries[3] = 7 * PAGE | VIOMMU_READ;
	f->overtake = turn_entry;
	assert_int_equal(viommu_publish(told.client, (struct viommu_iova){3 * PAGE}, VIOMMU_READ, false, take, &gpa),
			 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(gpa, 8 * PAGE);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_client_unregister(told.client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_miss_walks_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_kept_takes_no_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_present_is_never_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_entry_is_used_until_it_is_invalidated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_rights_need_no_invalidation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_large_leaf_goes_as_a_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_large_leaf_broken_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_access_over_several_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fault_carries_the_models_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_full_table_still_translates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_cannot_be_mapped_by_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_invalidation_waits_for_a_section_that_walked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_walk_found_too_early_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_translated_too_early_is_not_handed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ats_has_invalidations_of_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
