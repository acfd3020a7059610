/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mirrors and a model that knows nothing of tables: a context with two endpoints, three mirrors and three domains, and
 * steps that the caller's choices make (maps, unmaps, moves of endpoints, memory that comes and goes, tables in guest
 * memory that change), some of which a mirror refuses, at once or late. After each step every mirror holds what the
 * model says, page by page, and a device that asks the core for translations gets the same; and every few steps so does
 * one that reads the domains by enumeration.
 */
#ifndef TESTS_SUPPORT_MIRROR_WORLD_H
#define TESTS_SUPPORT_MIRROR_WORLD_H

#include "lib/core/inval.h"
#include "tests/support/test_mirror.h"

enum {
	PAGE = MIRROR_PAGE,
	PAGES = 64,       /* of I/O space that steps map */
	REGIONS = 4,      /* of memory */
	REGION_PAGES = 8, /* guest page numbers: region * REGION_PAGES on */
	DOMAINS = 3,      /* the last one is walked */
	WALKED = DOMAINS - 1,
	BYPASS = DOMAINS,
	BLOCKED = DOMAINS + 1,
	ENDPOINTS = 2,
	MIRRORS = 3,       /* the first endpoint has two of them */
	LARGE = 512,       /* of the walked domain: a leaf of 512 pages, or pages */
	READ_EVERY = 4,    /* steps */
	TAG_TIMES_OUT = 9, /* of changes that may pass their deadline */
};

struct model_page {
	uint64_t gpa;
	unsigned access;
	uint32_t mapping; /* pages of one mapping have the same number; 0: not mapped */
};

struct mirror_world {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domains[DOMAINS];
	struct viommu_endpoint *endpoints[ENDPOINTS];
	struct test_mirror *mirrors[MIRRORS];
	uint8_t *ram;
	unsigned (*roll)(void *opaque, unsigned sides); /* the next choice, below `sides` */
	void *opaque;
	unsigned steps; /* that were checked */
	/* The model: */
	struct model_page pages[DOMAINS][PAGES];
	bool large;      /* walked: pages 512..1023 are one leaf, to guest page 0 on */
	bool incomplete; /* walked: something was refused since all was last looked at */
	bool region[REGIONS];
	unsigned space[ENDPOINTS];
	uint32_t mappings;
	struct {
		unsigned domain;
		uint64_t first, last;
	} pending[4];      /* maps of this step, by tag */
	unsigned failures; /* that viommu_inval.failed told */
	unsigned refused, attaches_refused;
	bool paused[ENDPOINTS]; /* by the caller: a device of it does nothing */
	bool failed[ENDPOINTS]; /* by the caller: blocked since a deadline; its mirrors keep what `space` has */
};

/* An empty world; `config` as for viommu_create(). */
struct mirror_world *mirror_world_create(const struct viommu_config *config,
					 unsigned (*roll)(void *opaque, unsigned sides), void *opaque);
/* Nothing may be open in it, or paused. */
void mirror_world_destroy(struct mirror_world *w);

/* One step, its invalidation, and the comparison. */
void mirror_world_step(struct mirror_world *w);

/* Let mirrors answer what they were asked, at random; true: one had something to answer. */
bool mirror_world_answer(struct mirror_world *w);

void mirror_world_check(struct mirror_world *w);

/* What a page of a space (a domain, BYPASS, BLOCKED) leads to; access 0: nothing that a device can use. */
struct model_page mirror_world_expected(const struct mirror_world *w, unsigned space, uint64_t page);

/* Likewise for a device of an endpoint, which reaches nothing while the endpoint has failed. */
struct model_page mirror_world_reaches(const struct mirror_world *w, unsigned e, uint64_t page);

/* The model hears of what is refused late: for an invalidation that the caller has made in the place of `inval`. */
void mirror_world_watch(struct mirror_world *w);

/* The model forgets these pages of a domain. */
void mirror_world_forget(struct mirror_world *w, unsigned domain, uint64_t first, uint64_t last);

#endif
