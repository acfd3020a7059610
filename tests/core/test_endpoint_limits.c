/* SPDX-License-Identifier: BSD-2-Clause */
/* What limits of an endpoint may be, when they may be set, and what they exclude, one case at a time. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/support/test.h"
#include "tests/support/test_mirror.h"

enum { PAGE = 4096, RAM = 16 * PAGE };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domain;
	struct viommu_endpoint *limited, *other;
	uint8_t *ram;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(PAGE, RAM);
	assert_int_equal(viommu_create(NULL, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 8, "limited", &f->limited), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 9, "other", &f->other), 0);
	*state = f;
	return 0;
}

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	assert_int_equal(viommu_detach(f->other, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->limited), 0);
	assert_int_equal(viommu_endpoint_remove(f->other), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

static int limit(struct fixture *f, const struct viommu_reserved *reserved, size_t count, uint64_t page_sizes,
		 unsigned bits)
{
	return viommu_endpoint_set_limits(
		f->limited, &(struct viommu_endpoint_limits){.size = sizeof(struct viommu_endpoint_limits),
							     .reserved = reserved,
							     .reserved_count = count,
							     .page_sizes = page_sizes,
							     .address_bits = bits});
}

static struct viommu_reserved region(uint64_t first, uint64_t last)
{
	return (struct viommu_reserved){.first = {first}, .last = {last}};
}

static int map(struct fixture *f, uint64_t first, uint64_t last, uint64_t gpa)
{
	return viommu_map(f->domain, (struct viommu_iova){first}, (struct viommu_iova){last}, (struct viommu_gpa){gpa},
			  VIOMMU_READ);
}

static void test_bad_limits_are_refused(void **state)
{
	struct fixture *f = *state;
	struct viommu_reserved many[VIOMMU_RESERVED_MAX + 1], bad[2];
	const struct {
		struct viommu_reserved regions[2];
		size_t count;
		uint64_t page_sizes;
		unsigned bits;
	} cases[] = {
		{{region(PAGE, PAGE - 1)}, 1, 0, 0},
		{{region(1, PAGE - 1)}, 1, 0, 0},
		{{region(0, PAGE)}, 1, 0, 0},
		{{region(0, 2 * PAGE - 1), region(PAGE, PAGE + PAGE - 1)}, 2, 0, 0},
		{{region(0, 0)}, 0, 2048, 0},
		{{region(0, 0)}, 0, PAGE | 1, 0},
		{{region(0, 0)}, 0, 0, 31},
		{{region(0, 0)}, 0, 0, 65},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(limit(f, cases[i].regions, cases[i].count, cases[i].page_sizes, cases[i].bits),
				 -EINVAL);
	for (unsigned i = 0; i <= VIOMMU_RESERVED_MAX; i++)
		many[i] = region(2ull * i * PAGE, (2ull * i + 1) * PAGE - 1);
	assert_int_equal(limit(f, many, VIOMMU_RESERVED_MAX + 1, 0, 0), -EINVAL);
	assert_int_equal(limit(f, many, VIOMMU_RESERVED_MAX, 0, 0), 0);
	bad[0] = many[0];
	bad[1] = many[1];
	bad[0].msi = bad[1].msi = true;
	assert_int_equal(limit(f, bad, 2, 0, 0), -EINVAL);
	assert_int_equal(viommu_endpoint_set_limits(f->limited, NULL), -EINVAL);
}

static void test_limits_stay_as_they_are_while_the_endpoint_is_somewhere(void **state)
{
	struct fixture *f = *state;
	const struct viommu_reserved low = region(0, PAGE - 1);

	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	assert_int_equal(limit(f, &low, 1, 0, 0), -EBUSY);
	assert_int_equal(viommu_bypass(f->limited, f->inval), 0);
	assert_int_equal(limit(f, &low, 1, 0, 0), -EBUSY);
	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	complete(f);
	assert_int_equal(limit(f, &low, 1, 0, 0), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	assert_int_equal(map(f, 0, PAGE - 1, 0), -EINVAL);
	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	complete(f);
	/* No limits at all. */
	assert_int_equal(limit(f, NULL, 0, 0, 0), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	assert_int_equal(map(f, 0, PAGE - 1, 0), 0);
}

static void test_a_region_in_the_way_refuses_the_attach(void **state)
{
	struct fixture *f = *state;
	const struct viommu_reserved far = region(0x100000, 0x1fffff);

	assert_int_equal(limit(f, &far, 1, 0, 0), 0);
	assert_int_equal(viommu_attach(f->other, f->domain, f->inval), 0);
	assert_int_equal(map(f, 0x1ff000, 0x200fff, 0), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), -EOPNOTSUPP);
	/* Nothing has changed: the domain still takes anything, the endpoint is still blocked. */
	assert_int_equal(map(f, 0x100000, 0x100fff, 0), 0);
	assert_int_equal(limit(f, &far, 1, 0, 0), 0);
	assert_int_equal(
		viommu_unmap(f->domain, (struct viommu_iova){0}, (struct viommu_iova){UINT64_MAX}, f->inval, NULL), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	complete(f);
	assert_int_equal(map(f, 0x1ff000, 0x200fff, 0), -EINVAL);
	assert_int_equal(map(f, 0x200000, 0x200fff, 0), 0);
	/* When it has left, only the other one counts. */
	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	assert_int_equal(map(f, 0x1ff000, 0x1fffff, 0), 0);
}

static void test_the_width_of_addresses_is_a_region(void **state)
{
	struct fixture *f = *state;
	const struct viommu_reserved across = region(0xfffff000, 0x100000fff), beyond = region(1ull << 40, UINT64_MAX);
	const struct viommu_reserved both[] = {beyond, across};

	assert_int_equal(limit(f, both, 2, 0, 32), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	assert_int_equal(map(f, 0xffffe000, 0xffffefff, 0), 0);
	assert_int_equal(map(f, 0xfffff000, 0xffffffff, 0), -EINVAL);
	assert_int_equal(map(f, 0x100001000, 0x100001fff, 0), -EINVAL);
	assert_int_equal(map(f, UINT64_MAX - PAGE + 1, UINT64_MAX, 0), -EINVAL);
}

static void test_the_granule_holds_for_both_sides_of_a_mapping(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(limit(f, NULL, 0, 2 * PAGE | 1u << 21, 0), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), 0);
	assert_int_equal(map(f, 0, PAGE - 1, 0), -ERANGE);
	assert_int_equal(map(f, PAGE, 3 * PAGE - 1, 0), -ERANGE);
	assert_int_equal(map(f, 0, 2 * PAGE - 1, PAGE), -ERANGE);
	assert_int_equal(map(f, 0, 2 * PAGE - 1, 2 * PAGE), 0);
	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	assert_int_equal(map(f, 4 * PAGE, 5 * PAGE - 1, 0), 0);
	assert_int_equal(viommu_attach(f->limited, f->domain, f->inval), -EOPNOTSUPP);
}

/* A device of this process reaches all memory; what its mirror cannot have, it refuses. */
static void test_a_bypass_is_limited_for_mirrors_alone(void **state)
{
	struct fixture *f = *state;
	struct test_mirror *mirror = calloc(1, sizeof(*mirror));
	const struct viommu_reserved inside = region(PAGE, 2 * PAGE - 1);
	uint8_t byte;

	assert_int_equal(limit(f, &inside, 1, 0, 0), 0);
	assert_int_equal(viommu_bypass(f->limited, f->inval), 0);
	assert_int_equal(viommu_dma_read(f->limited, (struct viommu_iova){PAGE}, &byte, 1), 0);
	assert_int_equal(test_mirror_register(mirror, f->limited), -EOPNOTSUPP);
	assert_int_equal(viommu_detach(f->limited, f->inval), 0);
	complete(f);
	assert_int_equal(test_mirror_register(mirror, f->limited), 0);
	assert_int_equal(viommu_bypass(f->limited, f->inval), -EOPNOTSUPP);
	assert_int_equal(mirror->maps, 0);
	viommu_client_unregister(mirror->client);
	free(mirror);
}

enum { TURNS = 20000 };

struct race {
	struct fixture *f;
	_Atomic bool attached, mapped; /* for certain, while it is set */
};

static void *map_and_unmap(void *opaque)
{
	struct race *race = opaque;
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(race->f->v, &inval), 0);
	for (unsigned i = 0; i < TURNS; i++) {
		while (map(race->f, 0, PAGE - 1, 0))
			sched_yield();
		atomic_store(&race->mapped, true);
		assert_false(atomic_load(&race->attached));
		sched_yield();
		atomic_store(&race->mapped, false);
		assert_int_equal(viommu_unmap(race->f->domain, (struct viommu_iova){0}, (struct viommu_iova){PAGE - 1},
					      inval, NULL),
				 0);
		viommu_inval_begin(inval);
		while (viommu_inval_poll(inval))
			sched_yield();
	}
	viommu_inval_destroy(inval);
	return NULL;
}

/* A map and an attach that exclude each other, at the same time: never both. */
static void test_a_map_and_an_attach_at_once(void **state)
{
	struct race race = {.f = *state};
	struct fixture *f = race.f;
	struct viommu_reserved many[VIOMMU_RESERVED_MAX]; /* so that looking at all of them takes time */
	pthread_t thread;

	for (unsigned i = 0; i < VIOMMU_RESERVED_MAX; i++)
		many[i] = region(2ull * i * PAGE, (2ull * i + 1) * PAGE - 1);
	assert_int_equal(limit(f, many, VIOMMU_RESERVED_MAX, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, map_and_unmap, &race), 0);
	for (unsigned i = 0; i < TURNS; i++) {
		while (viommu_attach(f->limited, f->domain, f->inval))
			sched_yield();
		atomic_store(&race.attached, true);
		assert_false(atomic_load(&race.mapped));
		sched_yield();
		atomic_store(&race.attached, false);
		assert_int_equal(viommu_detach(f->limited, f->inval), 0);
		viommu_inval_begin(f->inval);
		while (viommu_inval_poll(f->inval))
			sched_yield();
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_bad_limits_are_refused),
		CASE(test_limits_stay_as_they_are_while_the_endpoint_is_somewhere),
		CASE(test_a_region_in_the_way_refuses_the_attach),
		CASE(test_the_width_of_addresses_is_a_region),
		CASE(test_the_granule_holds_for_both_sides_of_a_mapping),
		CASE(test_a_bypass_is_limited_for_mirrors_alone),
		CASE(test_a_map_and_an_attach_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
