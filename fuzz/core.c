/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core behind its public face, without a model of an IOMMU: the steps of tests/support/mirror_world.h by the
 * choices of the input, and between them sections, holds and a cache that stand in the way of what is taken away. An
 * invalidation is complete exactly when nobody uses any more what it takes away; at its deadline who is in the way
 * fails, and cannot be attached before it has let go. A cache holds nothing that the model does not say. Time passes
 * where the input says so alone.
 */
#include <errno.h>
#include <time.h>

#include "fuzz/fuzz.h"
#include "tests/support/mirror_world.h"

enum { STEPS = 120, DEADLINE_MS = 2000, START_MS = 10000 };

/* How somebody who is in the way goes. */
enum end { END_LETS_GO, END_AFTER_CANCEL, END_AFTER_DEADLINE, END_AFTER_OWNER, ENDS };

/* A client that keeps page by page what it was handed. */
struct cache {
	struct viommu_client *client;
	bool has[PAGES];
	uint64_t gpa[PAGES];
};

static struct mirror_world *w;
static struct tape tape;
static struct cache caches[ENDPOINTS];
static uint64_t now_ms;
static unsigned failed, cancels;

/* The linker puts it in the place of clock_gettime() (meson.build). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){(time_t)(now_ms / 1000), (long)(now_ms % 1000) * 1000000};
	return 0;
}

static unsigned choose(void *opaque, unsigned sides)
{
	(void)opaque;
	return tape_below(&tape, sides);
}

static void note_failed(void *opaque, uint32_t endpoint)
{
	(void)opaque;
	CHECK(endpoint < ENDPOINTS, "endpoint %u", endpoint);
	failed |= 1u << endpoint;
}

static void note_cancel(struct viommu_hold *hold)
{
	(void)hold;
	cancels++;
}

static void ignore_line(void *opaque, const char *line)
{
	(void)opaque;
	CHECK(*line, "an empty line");
}

static void ignore_fault(void *opaque, const struct viommu_fault *fault)
{
	(void)opaque;
	CHECK(fault->endpoint < ENDPOINTS && *viommu_fault_reason_name(fault->reason), "endpoint %u", fault->endpoint);
}

static void ignore(void *opaque)
{
	(void)opaque;
}

static struct viommu_iova page_iova(uint64_t page)
{
	return (struct viommu_iova){page * PAGE};
}

static void cache_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct cache *cache = opaque;

	for (uint64_t page = first.value / PAGE; page < PAGES && page <= last.value / PAGE; page++)
		cache->has[page] = false;
	viommu_client_ack(cache->client, ticket);
}

static int cache_take(void *opaque, const struct viommu_extent *extent)
{
	struct cache *cache = opaque;

	CHECK(extent->first.value <= extent->last.value, "an empty extent");
	if (!extent->access)
		return 0; /* a mapping without rights */
	for (uint64_t page = extent->first.value / PAGE; page < PAGES && page <= extent->last.value / PAGE; page++) {
		cache->has[page] = true;
		cache->gpa[page] = extent->gpa.value + (page * PAGE - extent->first.value);
	}
	return 0;
}

static void cache_map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	struct cache *cache = opaque;

	CHECK(first.value <= last.value, "no range");
	viommu_publish(cache->client, first, 0, false, cache_take, cache);
}

static const struct viommu_client_ops cache_ops = {
	.size = sizeof(cache_ops), .invalidate = cache_invalidate, .map = cache_map};

/* Register it, or take it away. */
static void toggle_cache(unsigned e)
{
	struct cache *cache = &caches[e];

	if (cache->client)
		viommu_client_unregister(cache->client);
	else if (viommu_client_register(w->endpoints[e], &cache_ops, cache, &cache->client))
		CHECK(false, "not registered");
	else
		return;
	*cache = (struct cache){0};
}

static void publish(unsigned e)
{
	const uint64_t page = tape_below(&tape, PAGES);
	const unsigned access = tape_below(&tape, 4);
	const struct model_page want = mirror_world_reaches(w, e, page);

	if (!caches[e].client)
		return;
	const int err =
		viommu_publish(caches[e].client, page_iova(page), access, tape_u8(&tape) & 1, cache_take, &caches[e]);
	const bool there = want.access && !(access & ~want.access);

	if (w->paused[e])
		CHECK(err == -ECANCELED, "it is paused: %d", err);
	else if (access || want.access) /* else: perhaps a mapping without rights */
		CHECK(!err == there, "page %u, access %u: %d", (unsigned)page, access, err);
	if (tape_u8(&tape) > 250)
		viommu_publish_cut(caches[e].client);
}

static void check_caches(void)
{
	for (unsigned e = 0; e < ENDPOINTS; e++)
		for (uint64_t page = 0; page < PAGES; page++) {
			const struct model_page want = mirror_world_reaches(w, e, page);

			CHECK(!caches[e].has[page] || (want.access && want.gpa == caches[e].gpa[page]),
			      "endpoint %u has page %u", e, (unsigned)page);
		}
}

static void toggle_pause(unsigned e)
{
	w->paused[e] = !w->paused[e];
	if (w->paused[e])
		viommu_endpoint_pause(w->endpoints[e]);
	else
		viommu_endpoint_resume(w->endpoints[e]);
}

/* The library's lists of mappings, regions and endpoints are the model's. */
static void list_mappings(unsigned domain)
{
	uint32_t number = 0, listed = 0;
	struct viommu_mapping mapping;
	uint64_t at = 0, mapped = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		listed += w->pages[domain][page].mapping && w->pages[domain][page].mapping != number;
		number = w->pages[domain][page].mapping;
		mapped += number != 0;
	}
	while (!viommu_domain_next(w->domains[domain], (struct viommu_iova){at}, &mapping)) {
		const struct model_page *page = &w->pages[domain][mapping.first.value / PAGE];

		CHECK(mapping.first.value >= at && mapping.last.value < PAGES * PAGE, "order");
		CHECK(page->mapping && page->gpa == mapping.gpa.value && page->access == mapping.access,
		      "page %u is another mapping", (unsigned)(mapping.first.value / PAGE));
		mapped -= (mapping.last.value - mapping.first.value) / PAGE + 1;
		listed--;
		at = mapping.last.value + 1;
	}
	CHECK(!listed && !mapped, "%u mappings of %u pages are missing", listed, (unsigned)mapped);
}

static void list(void)
{
	struct viommu_stats stats = {.size = sizeof(stats)};
	struct viommu_region region;
	unsigned regions = 0, endpoints = 0;
	uint64_t at = 0;

	for (unsigned domain = 0; domain < WALKED; domain++)
		list_mappings(domain);
	for (; !viommu_mem_next(w->v, (struct viommu_gpa){at}, &region); at = region.last.value + 1) {
		CHECK(w->region[region.first.value / PAGE / REGION_PAGES], "a region that is not there");
		CHECK(region.host == w->ram + region.first.value, "a region at another place");
		regions++;
	}
	for (unsigned r = 0; r < REGIONS; r++)
		regions -= w->region[r];
	for (struct viommu_endpoint *e = viommu_endpoint_next(w->v, 0); e;
	     e = viommu_endpoint_next(w->v, viommu_endpoint_id(e) + 1))
		CHECK(viommu_endpoint_find(w->v, endpoints++) == e, "endpoint %u", endpoints);
	CHECK(!regions && endpoints == ENDPOINTS, "%u regions too many, %u endpoints", regions, endpoints);
	CHECK(!viommu_stats_get(w->v, &stats) && stats.maps >= stats.unmaps && stats.invalidations >= stats.waited,
	      "counters");
}

/* Words of any alignment, over page borders. */
static void copy(unsigned e)
{
	const uint64_t iova = tape_u16(&tape) * 7ull;
	const unsigned len = 1 + tape_u8(&tape) * 40u;
	uint8_t bytes[256 * 40];
	bool reaches = !w->paused[e];

	for (uint64_t page = iova / PAGE; page <= (iova + len - 1) / PAGE; page++)
		reaches &= (mirror_world_reaches(w, e, page).access & VIOMMU_READ) != 0;
	const int err = viommu_dma_read(w->endpoints[e], (struct viommu_iova){iova}, bytes, len);

	CHECK(!err == reaches, "%u bytes at 0x%llx: %d", len, (unsigned long long)iova, err);
	for (unsigned i = 0; !err && i < len; i++)
		CHECK(bytes[i] == (uint8_t)(mirror_world_reaches(w, e, (iova + i) / PAGE).gpa / PAGE), "byte %u", i);
	if (err)
		return;
	bool takes = true;

	for (uint64_t page = iova / PAGE; page <= (iova + len - 1) / PAGE; page++)
		takes &= (mirror_world_reaches(w, e, page).access & VIOMMU_WRITE) != 0;
	if (takes)
		CHECK(!viommu_dma_write(w->endpoints[e], (struct viommu_iova){iova}, bytes, len), "not written");
}

/* Faults that another process reports, and those that wait. */
static void take_faults(unsigned e)
{
	const unsigned access = tape_below(&tape, 5), reason = tape_below(&tape, 7);
	const int err = viommu_fault_report(w->endpoints[e], page_iova(tape_u8(&tape)), access, reason);
	struct viommu_fault fault;

	CHECK(!err || err == -EINVAL || (w->paused[e] && err == -ECANCELED), "error %d", err);
	while (!viommu_fault_next(w->v, &fault))
		CHECK(fault.endpoint < ENDPOINTS, "endpoint %u", fault.endpoint);
}

/* Take away what the endpoint uses a page of, and note it in the model. */
static void take_away(unsigned e, uint64_t page)
{
	const unsigned space = w->space[e], kind = tape_below(&tape, 4);
	const uint64_t gpa = mirror_world_expected(w, space, page).gpa;
	const unsigned region = (unsigned)(gpa / PAGE / REGION_PAGES);

	w->inval->tag = TAG_TIMES_OUT;
	if (kind == 0 && space < WALKED) {
		uint64_t removed;

		CHECK(!viommu_unmap(w->domains[space], page_iova(0), (struct viommu_iova){UINT64_MAX}, w->inval,
				    &removed) &&
			      removed,
		      "not unmapped");
		mirror_world_forget(w, space, 0, PAGES - 1);
	} else if (kind == 1) {
		CHECK(!viommu_detach(w->endpoints[e], w->inval), "not detached");
		w->space[e] = BLOCKED;
	} else if (kind == 2) {
		CHECK(!viommu_mem_remove(w->v, (struct viommu_gpa){(uint64_t)region * REGION_PAGES * PAGE}, w->inval),
		      "not removed");
		w->region[region] = false;
	} else {
		CHECK(!viommu_quiesce(w->endpoints[e], w->inval), "not quiet");
	}
}

static void let_go(struct viommu_section *section, struct viommu_hold *hold, bool held)
{
	if (held)
		viommu_dma_release(hold);
	else
		viommu_dma_end(section);
}

static uint64_t quarantined(void)
{
	struct viommu_stats stats = {.size = sizeof(stats)};

	viommu_stats_get(w->v, &stats);
	return stats.quarantined;
}

/* Who is in the way has not let go: nothing completes before it has, or its deadline has passed. */
static void wait_for(unsigned e, enum end end, struct viommu_section *section, struct viommu_hold *hold, bool held)
{
	cancels = failed = 0;
	viommu_inval_begin(w->inval);
	while (mirror_world_answer(w))
		;
	CHECK(viommu_inval_poll(w->inval) == -EAGAIN, "complete, although somebody uses it");
	CHECK(viommu_unmap(w->domains[0], page_iova(0), (struct viommu_iova){UINT64_MAX}, w->inval, NULL) == -EBUSY,
	      "it has begun");
	if (end == END_AFTER_OWNER) {
		viommu_inval_destroy(w->inval);
		CHECK(quarantined() == 1, "%u are in quarantine", (unsigned)quarantined());
		let_go(section, hold, held);
		CHECK(!viommu_inval_create(w->v, &w->inval), "no invalidation");
		mirror_world_watch(w);
		return;
	}
	if (end != END_LETS_GO) {
		now_ms += DEADLINE_MS / 2;
		CHECK(viommu_inval_poll(w->inval) == -EAGAIN, "before the deadline");
		CHECK(cancels == held, "%u cancels", cancels);
	}
	if (end == END_AFTER_DEADLINE) {
		now_ms += DEADLINE_MS / 2 + 1;
		CHECK(viommu_inval_poll(w->inval) == -ETIMEDOUT, "the deadline has passed");
		CHECK(failed == 1u << e, "failed: 0x%x", failed);
		w->failed[e] = true;
		CHECK(quarantined() == 1, "%u are in quarantine", (unsigned)quarantined());
		CHECK(viommu_bypass(w->endpoints[e], w->inval) == -EIO, "it holds on to memory");
		mirror_world_check(w);
		let_go(section, hold, held);
		return;
	}
	let_go(section, hold, held);
	CHECK(!viommu_inval_poll(w->inval), "nobody is in the way");
}

static void settle(void)
{
	viommu_inval_begin(w->inval);
	while (viommu_inval_poll(w->inval))
		CHECK(mirror_world_answer(w), "nobody is in the way");
	CHECK(!quarantined(), "%u are in quarantine", (unsigned)quarantined());
}

/* Somebody uses a page while it is taken away. */
static void obstruct(unsigned e)
{
	const uint64_t page = tape_below(&tape, PAGES);
	const unsigned access = 1 + tape_below(&tape, 3);
	const struct model_page want = mirror_world_reaches(w, e, page);
	const uint8_t choice = tape_u8(&tape);
	const bool held = choice & 1;
	struct viommu_section section;
	struct viommu_hold hold = {.cancel = note_cancel};
	struct viommu_span span;

	if (w->paused[e]) {
		CHECK(viommu_dma_begin(w->endpoints[e], &section) == -ECANCELED, "a section of what is paused");
		return;
	}
	CHECK(!viommu_dma_begin(w->endpoints[e], &section), "no section");
	const int err = viommu_dma_translate(&section, page_iova(page), PAGE, access, &span);

	CHECK(!err == !(access & ~want.access), "page %u: %d", (unsigned)page, err);
	if (err) {
		viommu_dma_end(&section);
		return;
	}
	CHECK((uint8_t *)span.host == w->ram + want.gpa, "another page");
	if (held) {
		viommu_dma_hold(&section, &hold, &span, 1);
		viommu_dma_end(&section);
	}
	take_away(e, page);
	wait_for(e, (choice >> 1) % ENDS, &section, &hold, held);
	settle();
}

/* A domain goes while an endpoint is in it, and comes again, empty. */
static void renew_domain(void)
{
	const unsigned domain = tape_below(&tape, WALKED);

	viommu_domain_destroy(w->domains[domain]);
	CHECK(!viommu_domain_create(w->v, domain, &w->domains[domain]), "no domain");
	for (unsigned e = 0; e < ENDPOINTS; e++) {
		if (w->space[e] != domain)
			continue;
		w->inval->tag = TAG_TIMES_OUT;
		CHECK(!viommu_detach(w->endpoints[e], w->inval), "not detached");
		w->space[e] = BLOCKED;
		w->failed[e] = false;
	}
	settle();
	mirror_world_forget(w, domain, 0, PAGES - 1);
}

static void step(void)
{
	const uint8_t choice = tape_u8(&tape);
	const unsigned e = choice & 1;

	if (choice < 120)
		mirror_world_step(w);
	else if (choice < 170)
		obstruct(e);
	else if (choice < 200)
		publish(e);
	else if (choice < 215)
		copy(e);
	else if (choice < 222)
		toggle_cache(e);
	else if (choice < 230)
		toggle_pause(e);
	else if (choice < 236)
		take_faults(e);
	else if (choice < 240)
		renew_domain();
	else if (choice < 244)
		now_ms += tape_u16(&tape);
	else
		list();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct viommu_config config = {.size = sizeof(config),
				       .deadline_ms = DEADLINE_MS,
				       .log = ignore_line,
				       .fault = ignore_fault,
				       .endpoint_failed = note_failed,
				       .progress = ignore};

	tape = (struct tape){bytes, size};
	now_ms = START_MS;
	const uint8_t kind = tape_u8(&tape);

	if (kind & 1)
		config.domain_table_bytes = 1 << 16;
	w = mirror_world_create(&config, choose, NULL);
	memset(caches, 0, sizeof(caches));
	for (unsigned e = 0; e < ENDPOINTS; e++)
		if (kind & 2)
			toggle_cache(e);
	for (unsigned i = 0; tape.left && i < STEPS; i++) {
		step();
		mirror_world_check(w);
		check_caches();
	}
	for (unsigned e = 0; e < ENDPOINTS; e++) {
		if (caches[e].client)
			toggle_cache(e);
		if (w->paused[e])
			toggle_pause(e);
	}
	mirror_world_destroy(w);
	return 0;
}
