/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/mirror_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static unsigned owner(unsigned mirror)
{
	return mirror == MIRRORS - 1;
}

static unsigned roll(struct mirror_world *w, unsigned sides)
{
	return w->roll(w->opaque, sides);
}

static bool is_memory(const struct mirror_world *w, uint64_t gpa)
{
	return gpa / PAGE < REGIONS * REGION_PAGES && w->region[gpa / PAGE / REGION_PAGES];
}

struct model_page mirror_world_expected(const struct mirror_world *w, unsigned space, uint64_t page)
{
	struct model_page found = {0};

	if (space == BYPASS)
		found = (struct model_page){page * PAGE, VIOMMU_READ | VIOMMU_WRITE, 1};
	else if (space == WALKED && page >= LARGE)
		found = w->large ? (struct model_page){(page - LARGE) * PAGE, VIOMMU_READ, 1} : found;
	else if (space < DOMAINS && page < PAGES)
		found = w->pages[space][page];
	if (!found.mapping || !is_memory(w, found.gpa))
		found.access = 0;
	return found;
}

struct model_page mirror_world_reaches(const struct mirror_world *w, unsigned e, uint64_t page)
{
	return mirror_world_expected(w, w->failed[e] ? BLOCKED : w->space[e], page);
}

static void check_mirror(const struct mirror_world *w, unsigned m)
{
	const struct test_mirror *mirror = w->mirrors[m];
	const unsigned space = w->space[owner(m)];

	for (uint64_t page = 0; page < 2 * LARGE; page = page == PAGES - 1 ? LARGE : page + 1) {
		const struct model_page want = mirror_world_expected(w, space, page);
		const struct test_mirror_page *held = &mirror->pages[page];

		if (space == WALKED && w->incomplete && !held->access)
			continue;
		if (held->access == want.access && (!want.access || held->gpa == want.gpa))
			continue;
		fail_msg("mirror %u, space %u, page %lu: holds %x to %lx, the model says %x to %lx", m, space, page,
			 held->access, held->gpa, want.access, want.gpa);
	}
}

/* The core itself: a device of the endpoint. Walked pages that a mirror refused are the core's all the same. */
static void check_device(struct mirror_world *w, unsigned e)
{
	const uint64_t page = roll(w, PAGES);
	const struct model_page want = mirror_world_reaches(w, e, page);
	uint8_t byte;
	int err = viommu_dma_read(w->endpoints[e], (struct viommu_iova){page * PAGE}, &byte, 1);

	if (w->paused[e]) {
		assert_int_equal(err, -ECANCELED);
		return;
	}
	assert_int_equal(!err, want.access & VIOMMU_READ);
	if (!err)
		assert_int_equal(byte, (uint8_t)(want.gpa / PAGE));
}

/* A mapping is what one viommu_map() has made: no part of it, and nothing else. */
static void check_mapping(const struct mirror_world *w, unsigned domain, uint64_t from,
			  const struct viommu_mapping *found)
{
	const struct model_page *pages = w->pages[domain];
	const uint64_t first = found->first.value / PAGE, last = found->last.value / PAGE;

	assert_in_range(first, 0, PAGES - 1);
	assert_in_range(last, first, PAGES - 1);
	assert_true(last >= from);
	assert_int_not_equal(pages[first].mapping, 0);
	assert_int_equal(found->first.value % PAGE, 0);
	assert_int_equal(found->last.value % PAGE, PAGE - 1);
	assert_true(!first || pages[first - 1].mapping != pages[first].mapping);
	assert_true(last == PAGES - 1 || pages[last + 1].mapping != pages[first].mapping);
	for (uint64_t page = first; page <= last; page++) {
		assert_int_equal(pages[page].mapping, pages[first].mapping);
		assert_int_equal(pages[page].gpa, found->gpa.value + (page - first) * PAGE);
		assert_int_equal(pages[page].access, found->access);
	}
}

/* The domain as a mirror would have it that reads it from this page on: pages of memory that carry a right. */
static void read_domain(const struct mirror_world *w, unsigned domain, uint64_t from, struct test_mirror_page *out)
{
	struct viommu_iova at = {from * PAGE + PAGE / 2};
	struct viommu_mapping found;
	uint64_t next = from;

	while (!viommu_domain_next(w->domains[domain], at, &found)) {
		check_mapping(w, domain, at.value / PAGE, &found);
		/* Nothing was left out. */
		for (; next < found.first.value / PAGE; next++)
			assert_int_equal(w->pages[domain][next].mapping, 0);
		next = found.last.value / PAGE + 1;
		at.value = found.last.value + 1;
		for (uint64_t iova = found.first.value; iova < at.value && found.access; iova += PAGE) {
			const struct viommu_gpa gpa = {found.gpa.value + (iova - found.first.value)};
			struct viommu_region region;

			if (!viommu_mem_next(w->v, gpa, &region) && region.first.value <= gpa.value)
				out[iova / PAGE] = (struct test_mirror_page){.gpa = gpa.value, .access = found.access};
		}
	}
	for (; next < PAGES; next++)
		assert_int_equal(w->pages[domain][next].mapping, 0);
}

/* One that reads has what the model says, and what those have that were told. */
static void check_reader(struct mirror_world *w, unsigned domain)
{
	const uint64_t from = w->steps & READ_EVERY ? 0 : w->steps / READ_EVERY % PAGES;
	struct test_mirror_page read[PAGES] = {{0}};

	read_domain(w, domain, from, read);
	for (uint64_t page = from; page < PAGES; page++) {
		const struct model_page want = mirror_world_expected(w, domain, page);

		assert_int_equal(read[page].access, want.access);
		if (want.access)
			assert_int_equal(read[page].gpa, want.gpa);
		for (unsigned m = 0; m < MIRRORS; m++)
			if (w->space[owner(m)] == domain)
				assert_int_equal(w->mirrors[m]->pages[page].access, read[page].access);
	}
}

void mirror_world_check(struct mirror_world *w)
{
	for (unsigned m = 0; m < MIRRORS; m++)
		check_mirror(w, m);
	for (unsigned e = 0; e < ENDPOINTS; e++)
		check_device(w, e);
	if (w->steps++ % READ_EVERY)
		return;
	for (unsigned domain = 0; domain < WALKED; domain++)
		check_reader(w, domain);
}

void mirror_world_forget(struct mirror_world *w, unsigned domain, uint64_t first, uint64_t last)
{
	memset(&w->pages[domain][first], 0, (last - first + 1) * sizeof(w->pages[domain][0]));
}

/* A map that was refused late, or an attach, whose endpoint is blocked then. */
static void note_failure(void *opaque, unsigned tag, int err)
{
	struct mirror_world *w = opaque;

	if (tag == TAG_TIMES_OUT)
		return;
	assert_int_not_equal(err, -ETIMEDOUT);
	w->failures++;
	if (tag < 4)
		mirror_world_forget(w, w->pending[tag].domain, w->pending[tag].first, w->pending[tag].last);
	else if (tag < 4 + ENDPOINTS)
		w->space[tag - 4] = BLOCKED;
	else
		w->incomplete = true;
}

bool mirror_world_answer(struct mirror_world *w)
{
	bool answered = false;

	for (unsigned m = 0; m < MIRRORS; m++)
		answered |= test_mirror_answer(w->mirrors[m], roll(w, 16) ? 0 : -ENOSPC);
	return answered;
}

static void complete(struct mirror_world *w)
{
	viommu_inval_begin(w->inval);
	while (viommu_inval_poll(w->inval))
		assert_true(mirror_world_answer(w));
}

static struct viommu_iova iova(uint64_t page, bool last)
{
	return (struct viommu_iova){page * PAGE + (last ? PAGE - 1 : 0)};
}

static bool is_free(const struct mirror_world *w, unsigned domain, uint64_t first, uint64_t last)
{
	for (uint64_t page = first; page <= last; page++)
		if (w->pages[domain][page].mapping)
			return false;
	return true;
}

static void step_map(struct mirror_world *w, unsigned domain, unsigned tag)
{
	const uint64_t first = roll(w, PAGES), rest = PAGES - first;
	const uint64_t last = first + roll(w, rest < 8 ? (unsigned)rest : 8);
	const struct viommu_gpa gpa = {(uint64_t)roll(w, REGIONS * REGION_PAGES) * PAGE};
	const unsigned access = roll(w, 4);
	int err;

	w->inval->tag = tag;
	if (tag < 4) {
		w->pending[tag].domain = domain;
		w->pending[tag].first = first;
		w->pending[tag].last = last;
		err = viommu_map_pending(w->domains[domain], iova(first, false), iova(last, true), gpa, access,
					 w->inval);
	} else {
		err = viommu_map(w->domains[domain], iova(first, false), iova(last, true), gpa, access);
	}
	if (!is_free(w, domain, first, last)) {
		assert_int_equal(err, -EEXIST);
		return;
	}
	if (err) {
		assert_int_equal(err, -ENOSPC);
		w->refused++;
		return;
	}
	w->mappings++;
	for (uint64_t page = first; page <= last; page++)
		w->pages[domain][page] = (struct model_page){gpa.value + (page - first) * PAGE, access, w->mappings};
}

static bool is_cut(const struct mirror_world *w, unsigned domain, uint64_t page)
{
	return page && page < PAGES && w->pages[domain][page].mapping &&
	       w->pages[domain][page].mapping == w->pages[domain][page - 1].mapping;
}

static void step_unmap(struct mirror_world *w, unsigned domain)
{
	const uint64_t first = roll(w, PAGES), last = first + roll(w, (unsigned)(PAGES - first));
	int err = viommu_unmap(w->domains[domain], iova(first, false), iova(last, true), w->inval, NULL);

	if (is_cut(w, domain, first) || is_cut(w, domain, last + 1)) {
		assert_int_equal(err, -ERANGE);
		return;
	}
	assert_int_equal(err, 0);
	mirror_world_forget(w, domain, first, last);
}

/* Where an endpoint is after a refused attach: where it was, or blocked. The tag does not tell: it may be paused. */
static unsigned where(const struct mirror_world *w, unsigned e, unsigned before)
{
	return w->endpoints[e]->domain ? before : BLOCKED;
}

static void step_move(struct mirror_world *w, unsigned e)
{
	const unsigned to = roll(w, BLOCKED + 1);
	int err;

	w->inval->tag = 4 + e;
	if (to == BLOCKED)
		err = viommu_detach(w->endpoints[e], w->inval);
	else if (to == BYPASS)
		err = viommu_bypass(w->endpoints[e], w->inval);
	else
		err = viommu_attach(w->endpoints[e], w->domains[to], w->inval);
	if (err) {
		assert_int_equal(err, -ENOSPC);
		w->attaches_refused++;
		w->space[e] = where(w, e, w->space[e]);
	} else {
		w->space[e] = to;
		w->failed[e] = false;
	}
	if (w->space[e] == WALKED)
		w->incomplete = true; /* what is refused on the way in, or back, is left out */
}

static void step_memory(struct mirror_world *w)
{
	const unsigned r = roll(w, REGIONS);
	const struct viommu_gpa gpa = {(uint64_t)r * REGION_PAGES * PAGE};
	int err;

	if (w->region[r]) {
		assert_int_equal(viommu_mem_remove(w->v, gpa, w->inval), 0);
		w->region[r] = false;
		return;
	}
	err = viommu_mem_add(w->v, gpa, REGION_PAGES * PAGE, w->ram + gpa.value, -1, 0);
	assert_true(!err || err == -ENOSPC);
	w->refused += err != 0;
	w->region[r] = !err;
}

/* The guest changes its tables and invalidates what it has changed, or everything. */
static void step_tables(struct mirror_world *w)
{
	const uint64_t first = roll(w, PAGES),
		       last = first + roll(w, (unsigned)(PAGES - first < 8 ? PAGES - first : 8));
	const bool all = !roll(w, 8);

	w->inval->tag = 7;
	for (uint64_t page = first; page <= last; page++)
		w->pages[WALKED][page] = (struct model_page){(uint64_t)roll(w, REGIONS * REGION_PAGES) * PAGE,
							     1 + roll(w, 3), roll(w, 3) ? 1 : 0};
	if (all)
		w->large = roll(w, 2);
	const unsigned refused = w->mirrors[0]->refused + w->mirrors[2]->refused + w->mirrors[1]->refused;

	if (all)
		w->incomplete = false;
	assert_int_equal(viommu__domain_evict(w->domains[WALKED],
					      all ? (struct range){0, UINT64_MAX}
						  : (struct range){first * PAGE, last * PAGE + PAGE - 1},
					      false, w->inval),
			 0);
	if (w->mirrors[0]->refused + w->mirrors[2]->refused + w->mirrors[1]->refused != refused)
		w->incomplete = true;
}

static int walk(void *opaque, const struct memory *memory, uint64_t at, unsigned access, struct walk_result *result)
{
	const struct mirror_world *w = opaque;
	const uint64_t page = at / PAGE;

	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (page >= LARGE && page < 2 * LARGE && w->large) {
		*result = (struct walk_result){.iova = {LARGE * PAGE, 2 * LARGE * PAGE - 1}, .access = VIOMMU_READ};
	} else if (page < PAGES && w->pages[WALKED][page].mapping) {
		*result = (struct walk_result){.iova = {page * PAGE, page * PAGE + PAGE - 1},
					       .gpa = w->pages[WALKED][page].gpa,
					       .access = w->pages[WALKED][page].access};
	} else {
		result->hole = page < PAGES ? 0 : page < LARGE ? LARGE * PAGE - 1 : UINT64_MAX;
		return -EFAULT;
	}
	return access & ~result->access ? -EFAULT : 0;
}

static const struct walk_ops walk_ops = {.walk = walk, .told = true};

void mirror_world_step(struct mirror_world *w)
{
	for (unsigned m = 0; m < MIRRORS; m++) {
		w->mirrors[m]->slow = !roll(w, 3);
		w->mirrors[m]->refuse_one_in = roll(w, 4) ? 0 : 8;
	}
	switch (roll(w, 10)) {
	case 0:
		step_move(w, roll(w, ENDPOINTS));
		break;
	case 1:
		step_memory(w);
		break;
	case 2:
	case 3:
		step_tables(w);
		break;
	case 4:
	case 5:
		step_unmap(w, roll(w, WALKED));
		break;
	default:
		for (unsigned tag = 0, count = roll(w, 5); tag < count; tag++)
			step_map(w, roll(w, WALKED), roll(w, 2) ? tag : 8);
	}
	complete(w);
	mirror_world_check(w);
}

void mirror_world_watch(struct mirror_world *w)
{
	w->inval->failed = note_failure;
	w->inval->opaque = w;
}

struct mirror_world *mirror_world_create(const struct viommu_config *config,
					 unsigned (*choose)(void *opaque, unsigned sides), void *opaque)
{
	struct mirror_world *w = calloc(1, sizeof(*w));

	w->roll = choose;
	w->opaque = opaque;
	w->ram = aligned_alloc(PAGE, REGIONS * REGION_PAGES * PAGE);
	for (unsigned i = 0; i < REGIONS * REGION_PAGES * PAGE; i++)
		w->ram[i] = (uint8_t)(i / PAGE);
	assert_int_equal(viommu_create(config, &w->v), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	mirror_world_watch(w);
	for (unsigned i = 0; i < WALKED; i++)
		assert_int_equal(viommu_domain_create(w->v, i, &w->domains[i]), 0);
	assert_int_equal(viommu__domain_create_walked(w->v, &walk_ops, w, &w->domains[WALKED]), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		assert_int_equal(viommu_endpoint_add(w->v, i, "mirrored", &w->endpoints[i]), 0);
		w->space[i] = BLOCKED;
	}
	for (unsigned m = 0; m < MIRRORS; m++) {
		w->mirrors[m] = calloc(1, sizeof(*w->mirrors[m]));
		w->mirrors[m]->seed = m;
		assert_int_equal(test_mirror_register(w->mirrors[m], w->endpoints[owner(m)]), 0);
	}
	return w;
}

void mirror_world_destroy(struct mirror_world *w)
{
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_int_equal(viommu_detach(w->endpoints[i], w->inval), 0);
	complete(w);
	for (unsigned m = 0; m < MIRRORS; m++) {
		viommu_client_unregister(w->mirrors[m]->client);
		free(w->mirrors[m]);
	}
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_int_equal(viommu_endpoint_remove(w->endpoints[i]), 0);
	for (unsigned i = 0; i < DOMAINS; i++)
		viommu_domain_destroy(w->domains[i]);
	viommu_inval_destroy(w->inval);
	viommu_destroy(w->v);
	free(w->ram);
	free(w);
}
