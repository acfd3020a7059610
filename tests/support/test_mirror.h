/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A mirror for tests: it keeps what it holds page by page, asserts what mirrors are promised (no extent overlaps
 * another, no unmap cuts one), and refuses or takes its time as the test says.
 */
#ifndef TESTS_SUPPORT_TEST_MIRROR_H
#define TESTS_SUPPORT_TEST_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include <viommu/viommu.h>

enum { MIRROR_PAGE = 4096, MIRROR_PAGES = 2048, MIRROR_PENDING = 1 << 16 };

struct test_mirror_page {
	uint64_t gpa;    /* of the page */
	unsigned access; /* 0: nothing is mapped */
	void *host;
	uint32_t extent; /* which one it belongs to */
};

struct test_mirror_pending {
	uint64_t ticket;
	struct viommu_extent extent;
	uint32_t number; /* the extent's; 0: it is an unmap */
};

struct test_mirror {
	struct viommu_client *client;
	struct test_mirror_page pages[MIRROR_PAGES];
	uint32_t extents; /* told so far */
	enum viommu_space space;
	unsigned maps, refused, unmaps, undone, batches, attaches;
	/* The test's: */
	unsigned refuse_in; /* the map after so many more is refused; 0: none */
	int refuse_err;
	int refuse_attach;      /* what the next attach is refused with, once */
	bool slow;              /* answers later: test_mirror_answer() */
	unsigned refuse_one_in; /* at random; 0: never */
	unsigned seed;
	struct test_mirror_pending pending[MIRROR_PENDING];
	size_t pending_first, pending_last;
};

int test_mirror_register(struct test_mirror *mirror, struct viommu_endpoint *endpoint);

/* Answer the oldest question; `err`: refuse it, if it is a map. False: there is none. */
bool test_mirror_answer(struct test_mirror *mirror, int err);

#endif
