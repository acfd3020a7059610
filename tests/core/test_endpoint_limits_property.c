/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits of endpoints against a model in plain page numbers: random regions and granules, maps, unmaps, moves of
 * endpoints, memory that comes and goes. After each step each domain maps what the model says, and so does the mirror
 * of the first endpoint; what limits exclude has changed nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"
#include "tests/support/test_mirror.h"

enum {
	PAGE = MIRROR_PAGE,
	PAGES = 64, /* of I/O space */
	REGIONS = 4,
	REGION_PAGES = 7, /* no multiple of the larger granules */
	ENDPOINTS = 3,    /* the first one has a mirror */
	DOMAINS = 2,
	BYPASS = DOMAINS,
	BLOCKED = DOMAINS + 1,
	RESERVED = 3,
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	STEPS = 30000,
#else
	STEPS = 1000000,
#endif
};

struct limit {
	uint64_t granule; /* in pages; 0: no limits yet */
	unsigned count;
	struct {
		uint64_t first, last;
	} reserved[RESERVED];
};

struct mapping {
	uint64_t first, last, gpa; /* pages */
	unsigned access;
	bool used;
};

struct world {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domains[DOMAINS];
	struct viommu_endpoint *endpoints[ENDPOINTS];
	struct test_mirror *mirror;
	uint8_t *ram;
	unsigned seed;
	/* The model: */
	struct mapping mappings[DOMAINS][PAGES]; /* at the number of their first page */
	struct limit limits[ENDPOINTS];
	unsigned space[ENDPOINTS];
	bool region[REGIONS];
	unsigned reserved, misaligned, unsuitable, unsuitable_memory; /* how often these were met */
};

static unsigned roll(struct world *w, unsigned sides)
{
	return (unsigned)rand_r(&w->seed) / 7 % sides;
}

static bool is_misaligned(const struct limit *limit, uint64_t first, uint64_t last, uint64_t gpa)
{
	return limit->granule && (first % limit->granule || (last + 1) % limit->granule || gpa % limit->granule);
}

static bool is_reserved(const struct limit *limit, uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < limit->count; i++)
		for (uint64_t page = first; page <= last; page++)
			if (page >= limit->reserved[i].first && page <= limit->reserved[i].last)
				return true;
	return false;
}

static bool excludes(const struct limit *limit, uint64_t first, uint64_t last, uint64_t gpa)
{
	return is_misaligned(limit, first, last, gpa) || is_reserved(limit, first, last);
}

/* True: the part of this mapping that lies in one region is none that the first endpoint's mirror can have. */
static bool part_excluded(const struct world *w, const struct mapping *mapping, unsigned r)
{
	const uint64_t from = (uint64_t)r * REGION_PAGES, to = from + REGION_PAGES - 1;
	uint64_t first = 0, last = 0;
	bool any = false;

	for (uint64_t page = mapping->first; page <= mapping->last && mapping->access; page++) {
		const uint64_t gpa = mapping->gpa + (page - mapping->first);

		if (gpa < from || gpa > to)
			continue;
		first = any ? first : page;
		last = page;
		any = true;
	}
	return any && excludes(&w->limits[0], first, last, mapping->gpa + (first - mapping->first));
}

static bool memory_excluded(const struct world *w, const struct mapping *mapping)
{
	for (unsigned r = 0; r < REGIONS; r++)
		if (w->region[r] && part_excluded(w, mapping, r))
			return true;
	return false;
}

/* A region as a bypass maps it. */
static struct mapping identity(unsigned r)
{
	const uint64_t first = (uint64_t)r * REGION_PAGES;

	return (struct mapping){first, first + REGION_PAGES - 1, first, VIOMMU_READ | VIOMMU_WRITE, true};
}

static void complete(struct world *w)
{
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
}

/* The domains, by enumeration. */
static void check_domains(const struct world *w)
{
	for (unsigned d = 0; d < DOMAINS; d++) {
		struct viommu_iova at = {0};
		struct viommu_mapping found;

		for (uint64_t page = 0; page < PAGES; page++) {
			const struct mapping *want = &w->mappings[d][page];

			if (!want->used)
				continue;
			assert_int_equal(viommu_domain_next(w->domains[d], at, &found), 0);
			assert_int_equal(found.first.value, want->first * PAGE);
			assert_int_equal(found.last.value, want->last * PAGE + PAGE - 1);
			assert_int_equal(found.gpa.value, want->gpa * PAGE);
			assert_int_equal(found.access, want->access);
			at.value = found.last.value + 1;
		}
		assert_int_equal(viommu_domain_next(w->domains[d], at, &found), -ENOENT);
	}
}

static void expect_mapping(const struct world *w, const struct mapping *mapping, struct test_mirror_page *want)
{
	for (uint64_t page = mapping->first; page <= mapping->last; page++) {
		const uint64_t gpa = mapping->gpa + (page - mapping->first);

		if (gpa < REGIONS * REGION_PAGES && w->region[gpa / REGION_PAGES])
			want[page] = (struct test_mirror_page){.gpa = gpa * PAGE, .access = mapping->access};
	}
}

static void check_mirror(const struct world *w)
{
	struct test_mirror_page want[PAGES] = {{0}};
	const unsigned space = w->space[0];

	for (unsigned page = 0; space < DOMAINS && page < PAGES; page++)
		if (w->mappings[space][page].used)
			expect_mapping(w, &w->mappings[space][page], want);
	for (unsigned r = 0; space == BYPASS && r < REGIONS; r++) {
		const struct mapping mapping = identity(r);

		expect_mapping(w, &mapping, want);
	}
	for (unsigned page = 0; page < PAGES; page++) {
		assert_int_equal(w->mirror->pages[page].access, want[page].access);
		if (want[page].access)
			assert_int_equal(w->mirror->pages[page].gpa, want[page].gpa);
	}
}

static void step_limits(struct world *w)
{
	const unsigned e = roll(w, ENDPOINTS);
	struct limit limit = {.granule = 1u << (roll(w, 2) ? 0 : roll(w, 3)), .count = roll(w, RESERVED + 1)};
	struct viommu_reserved reserved[RESERVED];
	bool overlap = false;

	for (unsigned i = 0; i < limit.count; i++) {
		limit.reserved[i].first = roll(w, PAGES);
		limit.reserved[i].last = limit.reserved[i].first + roll(w, 4);
		for (unsigned j = 0; j < i; j++)
			overlap |= limit.reserved[i].first <= limit.reserved[j].last &&
				   limit.reserved[j].first <= limit.reserved[i].last;
		reserved[i] = (struct viommu_reserved){.first = {limit.reserved[i].first * PAGE},
						       .last = {limit.reserved[i].last * PAGE + PAGE - 1}};
	}
	int err = viommu_endpoint_set_limits(w->endpoints[e], &(struct viommu_endpoint_limits){
								      .size = sizeof(struct viommu_endpoint_limits),
								      .reserved = reserved,
								      .reserved_count = limit.count,
								      .page_sizes = limit.granule * PAGE | 1u << 30,
							      });

	assert_int_equal(err, overlap ? -EINVAL : w->space[e] != BLOCKED ? -EBUSY : 0);
	if (!err)
		w->limits[e] = limit;
}

static bool is_free(const struct world *w, unsigned d, uint64_t first, uint64_t last)
{
	for (uint64_t page = 0; page < PAGES; page++)
		if (w->mappings[d][page].used && page <= last && w->mappings[d][page].last >= first)
			return false;
	return true;
}

static void step_map(struct world *w)
{
	const unsigned d = roll(w, DOMAINS);
	struct mapping mapping = {.access = roll(w, 4), .used = true};
	const uint64_t grain = 1u << roll(w, 3);
	bool misaligned = false, reserved = false;
	int err;

	mapping.first = roll(w, PAGES) / grain * grain;
	mapping.last = mapping.first + grain * (1 + roll(w, 3)) - 1;
	mapping.last = mapping.last < PAGES ? mapping.last : PAGES - 1;
	mapping.gpa = roll(w, REGIONS * REGION_PAGES) / grain * grain;
	for (unsigned e = 0; e < ENDPOINTS; e++) {
		misaligned |=
			w->space[e] == d && is_misaligned(&w->limits[e], mapping.first, mapping.last, mapping.gpa);
		reserved |= w->space[e] == d && is_reserved(&w->limits[e], mapping.first, mapping.last);
	}
	const struct viommu_iova first = {mapping.first * PAGE}, last = {mapping.last * PAGE + PAGE - 1};
	const struct viommu_gpa gpa = {mapping.gpa * PAGE};

	err = roll(w, 2) ? viommu_map(w->domains[d], first, last, gpa, mapping.access)
			 : viommu_map_pending(w->domains[d], first, last, gpa, mapping.access, w->inval);
	if (misaligned || reserved) {
		assert_true((misaligned && err == -ERANGE) || (reserved && err == -EINVAL));
		w->misaligned += err == -ERANGE;
		w->reserved += err == -EINVAL;
	} else if (!is_free(w, d, mapping.first, mapping.last)) {
		assert_int_equal(err, -EEXIST);
	} else if (w->space[0] == d && memory_excluded(w, &mapping)) {
		assert_int_equal(err, -EOPNOTSUPP);
		w->unsuitable_memory++;
	} else {
		assert_int_equal(err, 0);
		w->mappings[d][mapping.first] = mapping;
	}
}

static void step_unmap(struct world *w)
{
	const unsigned d = roll(w, DOMAINS);
	const bool all = !roll(w, 3);
	const uint64_t first = all ? 0 : roll(w, PAGES);
	const uint64_t last = all ? PAGES - 1 : first + roll(w, (unsigned)(PAGES - first));
	bool cut = false;
	int err = viommu_unmap(w->domains[d], (struct viommu_iova){first * PAGE},
			       (struct viommu_iova){last * PAGE + PAGE - 1}, w->inval, NULL);

	for (uint64_t page = 0; page < PAGES; page++) {
		const struct mapping *mapping = &w->mappings[d][page];

		if (mapping->used && mapping->first <= last && mapping->last >= first)
			cut |= mapping->first < first || mapping->last > last;
	}
	assert_int_equal(err, cut ? -ERANGE : 0);
	for (uint64_t page = first; page <= last && !cut; page++)
		w->mappings[d][page].used = false;
}

static bool suits(const struct world *w, unsigned e, unsigned to)
{
	for (unsigned page = 0; to < DOMAINS && page < PAGES; page++) {
		const struct mapping *mapping = &w->mappings[to][page];

		if (!mapping->used)
			continue;
		if (excludes(&w->limits[e], mapping->first, mapping->last, mapping->gpa))
			return false;
		if (!e && memory_excluded(w, mapping))
			return false;
	}
	for (unsigned r = 0; to == BYPASS && !e && r < REGIONS; r++) {
		const struct mapping mapping = identity(r);

		if (w->region[r] && part_excluded(w, &mapping, r))
			return false;
	}
	return true;
}

static void step_move(struct world *w)
{
	const unsigned e = roll(w, ENDPOINTS), to = roll(w, BLOCKED + 1);
	struct viommu_endpoint *endpoint = w->endpoints[e];
	const bool expected = to == w->space[e] || suits(w, e, to);
	int err = to == BLOCKED  ? viommu_detach(endpoint, w->inval)
		  : to == BYPASS ? viommu_bypass(endpoint, w->inval)
				 : viommu_attach(endpoint, w->domains[to], w->inval);

	assert_int_equal(err, expected ? 0 : -EOPNOTSUPP);
	if (!err)
		w->space[e] = to;
	w->unsuitable += err != 0;
}

static bool region_suits(const struct world *w, unsigned r)
{
	const struct mapping mapping = identity(r);

	if (w->space[0] == BYPASS)
		return !part_excluded(w, &mapping, r);
	for (unsigned page = 0; w->space[0] < DOMAINS && page < PAGES; page++)
		if (w->mappings[w->space[0]][page].used && part_excluded(w, &w->mappings[w->space[0]][page], r))
			return false;
	return true;
}

static void step_memory(struct world *w)
{
	const unsigned r = roll(w, REGIONS);
	const struct viommu_gpa gpa = {(uint64_t)r * REGION_PAGES * PAGE};

	if (w->region[r]) {
		assert_int_equal(viommu_mem_remove(w->v, gpa, w->inval), 0);
		w->region[r] = false;
		return;
	}
	int err = viommu_mem_add(w->v, gpa, REGION_PAGES * PAGE, w->ram + gpa.value, -1, 0);

	assert_int_equal(err, region_suits(w, r) ? 0 : -EOPNOTSUPP);
	w->region[r] = !err;
	w->unsuitable_memory += err != 0;
}

static void step(struct world *w)
{
	switch (roll(w, 12)) {
	case 0:
		step_limits(w);
		break;
	case 1:
		step_memory(w);
		break;
	case 2:
	case 3:
	case 4:
		step_move(w);
		break;
	case 5:
	case 6:
		step_unmap(w);
		break;
	default:
		step_map(w);
	}
	complete(w);
	check_domains(w);
	check_mirror(w);
}

static struct world *make_world(void)
{
	struct world *w = calloc(1, sizeof(*w));

	w->seed = 1;
	w->ram = aligned_alloc(PAGE, REGIONS * REGION_PAGES * PAGE);
	memset(w->ram, 0, REGIONS * REGION_PAGES * PAGE);
	w->mirror = calloc(1, sizeof(*w->mirror));
	assert_int_equal(viommu_create(NULL, &w->v), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	for (unsigned i = 0; i < DOMAINS; i++)
		assert_int_equal(viommu_domain_create(w->v, i, &w->domains[i]), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		assert_int_equal(viommu_endpoint_add(w->v, i, "limited", &w->endpoints[i]), 0);
		w->space[i] = BLOCKED;
	}
	assert_int_equal(test_mirror_register(w->mirror, w->endpoints[0]), 0);
	return w;
}

static void destroy_world(struct world *w)
{
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_int_equal(viommu_detach(w->endpoints[i], w->inval), 0);
	complete(w);
	viommu_client_unregister(w->mirror->client);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_int_equal(viommu_endpoint_remove(w->endpoints[i]), 0);
	for (unsigned i = 0; i < DOMAINS; i++)
		viommu_domain_destroy(w->domains[i]);
	viommu_inval_destroy(w->inval);
	viommu_destroy(w->v);
	free(w->mirror);
	free(w->ram);
	free(w);
}

static void test_limits_exclude_what_the_model_says(void **state)
{
	struct world *w = make_world();

	(void)state;
	for (unsigned i = 0; i < STEPS; i++)
		step(w);
	assert_true(w->reserved > STEPS / 1000);
	assert_true(w->misaligned > STEPS / 1000);
	assert_true(w->unsuitable > STEPS / 1000);
	assert_true(w->unsuitable_memory > STEPS / 10000);
	destroy_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits_exclude_what_the_model_says)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
