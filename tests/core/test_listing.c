/* SPDX-License-Identifier: BSD-2-Clause */
/* Mappings, regions and endpoints are listed as they were made, against an array that is searched from end to end. */
#include <errno.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

/* Few pages, so that mappings meet; some at the end of the space; lengths over several levels of the table. */
enum { PAGE = 4096, SPACE = 3000, MAPPINGS = 200, ROUNDS = 3000, PROBES = 4 };

struct reference {
	struct viommu_mapping mappings[MAPPINGS];
	unsigned count;
};

static uint64_t random_state = 88172645463325252ull;

static uint64_t below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % limit;
}

static bool overlaps(const struct reference *reference, const struct viommu_mapping *mapping)
{
	for (unsigned i = 0; i < reference->count; i++)
		if (reference->mappings[i].first.value <= mapping->last.value &&
		    mapping->first.value <= reference->mappings[i].last.value)
			return true;
	return false;
}

static const struct viommu_mapping *next(const struct reference *reference, uint64_t iova)
{
	const struct viommu_mapping *best = NULL;

	for (unsigned i = 0; i < reference->count; i++) {
		const struct viommu_mapping *mapping = &reference->mappings[i];

		if (mapping->last.value >= iova && (!best || mapping->first.value < best->first.value))
			best = mapping;
	}
	return best;
}

/* High: the last page is that of the space. */
static struct viommu_mapping random_mapping(bool high)
{
	uint64_t size = (1 + below(below(4) ? 4 : SPACE / 2)) * PAGE, at = below(SPACE) * PAGE;
	struct viommu_mapping mapping = {
		.first = {high ? 0 - at - size : at}, .gpa = {below(1 << 20) * PAGE}, .access = (unsigned)below(4)};

	mapping.last.value = mapping.first.value + (size - 1);
	return mapping;
}

static void add(struct viommu_domain *domain, struct reference *reference)
{
	struct viommu_mapping mapping = random_mapping(below(2));

	if (reference->count == MAPPINGS)
		return;
	int expected = overlaps(reference, &mapping) ? -EEXIST : 0;

	assert_int_equal(viommu_map(domain, mapping.first, mapping.last, mapping.gpa, mapping.access), expected);
	if (!expected)
		reference->mappings[reference->count++] = mapping;
}

static void drop(struct viommu_domain *domain, struct reference *reference, struct viommu_inval *inval)
{
	if (!reference->count)
		return;
	struct viommu_mapping *gone = &reference->mappings[below(reference->count)];
	uint64_t removed;

	assert_int_equal(viommu_unmap(domain, gone->first, gone->last, inval, &removed), 0);
	assert_int_equal(removed, 1);
	*gone = reference->mappings[--reference->count];
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
}

static void check(struct viommu_domain *domain, const struct reference *reference, uint64_t iova)
{
	const struct viommu_mapping *expected = next(reference, iova);
	struct viommu_mapping found;

	assert_int_equal(viommu_domain_next(domain, (struct viommu_iova){iova}, &found), expected ? 0 : -ENOENT);
	if (!expected)
		return;
	assert_int_equal(found.first.value, expected->first.value);
	assert_int_equal(found.last.value, expected->last.value);
	assert_int_equal(found.gpa.value, expected->gpa.value);
	assert_int_equal(found.access, expected->access);
}

static void check_list(struct viommu_domain *domain, const struct reference *reference)
{
	struct viommu_mapping found;
	uint64_t at = 0;
	unsigned count = 0;

	while (!viommu_domain_next(domain, (struct viommu_iova){at}, &found)) {
		count++;
		at = found.last.value + 1;
		if (!at)
			break;
	}
	assert_int_equal(count, reference->count);
}

static void test_mappings_are_listed_as_they_were_made(void **state)
{
	struct reference reference = {.count = 0};
	struct viommu_domain *domain;
	struct viommu_inval *inval;
	struct viommu *v;

	(void)state;
	assert_int_equal(viommu_create(NULL, &v), 0);
	assert_int_equal(viommu_domain_create(v, 1, &domain), 0);
	assert_int_equal(viommu_inval_create(v, &inval), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (below(round / 500 % 2 ? 3 : 2))
			drop(domain, &reference, inval);
		else
			add(domain, &reference);
		for (unsigned i = 0; i < PROBES; i++)
			check(domain, &reference, i % 2 ? below(2 * SPACE * PAGE) : 0 - below(2 * SPACE * PAGE) - 1);
		check_list(domain, &reference);
	}
	viommu_inval_destroy(inval);
	viommu_domain_destroy(domain);
	viommu_destroy(v);
}

static void test_a_mapping_of_the_whole_space_is_one(void **state)
{
	struct reference reference = {
		.mappings = {{.last = {UINT64_MAX}, .access = VIOMMU_READ}},
		.count = 1,
	};
	struct viommu_domain *domain;
	struct viommu *v;

	(void)state;
	assert_int_equal(viommu_create(NULL, &v), 0);
	assert_int_equal(viommu_domain_create(v, 1, &domain), 0);
	assert_int_equal(viommu_map(domain, (struct viommu_iova){0}, (struct viommu_iova){UINT64_MAX},
				    (struct viommu_gpa){0}, VIOMMU_READ),
			 0);
	check(domain, &reference, 0);
	check(domain, &reference, 1ull << 63);
	check(domain, &reference, UINT64_MAX);
	viommu_domain_destroy(domain);
	viommu_destroy(v);
}

static void test_regions_and_endpoints_are_listed(void **state)
{
	static uint8_t ram[3 * PAGE] __attribute__((aligned(PAGE)));
	struct viommu_endpoint *first, *second;
	struct viommu_region region;
	struct viommu *v;

	(void)state;
	assert_int_equal(viommu_create(NULL, &v), 0);
	assert_int_equal(viommu_mem_next(v, (struct viommu_gpa){0}, &region), -ENOENT);
	assert_null(viommu_endpoint_next(v, 0));
	assert_int_equal(viommu_mem_add(v, (struct viommu_gpa){8 * PAGE}, PAGE, ram + 2 * PAGE, 5, 0x1000), 0);
	assert_int_equal(viommu_mem_add(v, (struct viommu_gpa){2 * PAGE}, 2 * PAGE, ram, -1, 0), 0);
	assert_int_equal(viommu_mem_next(v, (struct viommu_gpa){0}, &region), 0);
	assert_int_equal(region.first.value, 2 * PAGE);
	assert_int_equal(region.last.value, 4 * PAGE - 1);
	assert_ptr_equal(region.host, ram);
	assert_int_equal(region.fd, -1);
	assert_int_equal(viommu_mem_next(v, (struct viommu_gpa){4 * PAGE - 1}, &region), 0);
	assert_int_equal(region.first.value, 2 * PAGE);
	assert_int_equal(viommu_mem_next(v, (struct viommu_gpa){4 * PAGE}, &region), 0);
	assert_int_equal(region.first.value, 8 * PAGE);
	assert_int_equal(region.fd, 5);
	assert_int_equal(region.fd_offset, 0x1000);
	assert_int_equal(viommu_mem_next(v, (struct viommu_gpa){9 * PAGE}, &region), -ENOENT);

	assert_int_equal(viommu_endpoint_add(v, UINT32_MAX, "last", &second), 0);
	assert_int_equal(viommu_endpoint_add(v, 8, "first", &first), 0);
	assert_ptr_equal(viommu_endpoint_next(v, 0), first);
	assert_ptr_equal(viommu_endpoint_next(v, 8), first);
	assert_ptr_equal(viommu_endpoint_next(v, 9), second);
	assert_ptr_equal(viommu_endpoint_next(v, UINT32_MAX), second);
	assert_int_equal(viommu_endpoint_remove(first), 0);
	assert_int_equal(viommu_endpoint_remove(second), 0);
	viommu_destroy(v);
}

static void test_faults_of_others_are_reported_like_ours(void **state)
{
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	struct viommu_inval *inval;
	struct viommu_fault fault;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};
	struct viommu *v;

	(void)state;
	assert_int_equal(viommu_create(NULL, &v), 0);
	assert_int_equal(viommu_domain_create(v, 77, &domain), 0);
	assert_int_equal(viommu_endpoint_add(v, 8, "device", &endpoint), 0);
	assert_int_equal(viommu_inval_create(v, &inval), 0);
	assert_int_equal(viommu_attach(endpoint, domain, inval), 0);
	assert_int_equal(
		viommu_fault_report(endpoint, (struct viommu_iova){0x5123}, VIOMMU_WRITE, VIOMMU_FAULT_PERMISSION), 0);
	assert_int_equal(viommu_fault_next(v, &fault), 0);
	assert_int_equal(fault.endpoint, 8);
	assert_true(fault.in_domain);
	assert_int_equal(fault.domain, 77);
	assert_int_equal(fault.iova.value, 0x5123);
	assert_int_equal(fault.access, VIOMMU_WRITE);
	assert_int_equal(fault.reason, VIOMMU_FAULT_PERMISSION);
	viommu_stats_get(v, &stats);
	assert_int_equal(stats.faults, 1);
	assert_int_equal(viommu_fault_report(endpoint, (struct viommu_iova){0}, VIOMMU_READ, 0), -EINVAL);
	assert_int_equal(viommu_fault_report(endpoint, (struct viommu_iova){0}, VIOMMU_READ, VIOMMU_FAULT_NO_ROOM + 1),
			 -EINVAL);
	assert_int_equal(viommu_fault_report(endpoint, (struct viommu_iova){0}, 8, VIOMMU_FAULT_NOT_MAPPED), -EINVAL);
	assert_int_equal(viommu_fault_next(v, &fault), -EAGAIN);
	assert_int_equal(viommu_detach(endpoint, inval), 0);
	viommu_inval_destroy(inval);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_domain_destroy(domain);
	viommu_destroy(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mappings_are_listed_as_they_were_made),
		cmocka_unit_test(test_a_mapping_of_the_whole_space_is_one),
		cmocka_unit_test(test_regions_and_endpoints_are_listed),
		cmocka_unit_test(test_faults_of_others_are_reported_like_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
