/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/test_mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static void take(struct test_mirror *mirror, const struct viommu_extent *extent)
{
	mirror->extents++;
	assert_true(extent->access && !(extent->access & ~(unsigned)(VIOMMU_READ | VIOMMU_WRITE)));
	for (uint64_t iova = extent->first.value; iova <= extent->last.value; iova += MIRROR_PAGE) {
		uint64_t offset = iova - extent->first.value;
		struct test_mirror_page *page = &mirror->pages[iova / MIRROR_PAGE];

		assert_in_range(iova / MIRROR_PAGE, 0, MIRROR_PAGES - 1);
		assert_int_equal(page->access, 0);
		*page = (struct test_mirror_page){extent->gpa.value + offset, extent->access,
						  (uint8_t *)extent->host + offset, mirror->extents};
	}
}

/* The first and last page of a range, as far as there are pages. */
static void span(struct viommu_iova first, struct viommu_iova last, uint64_t *from, uint64_t *to)
{
	*from = first.value / MIRROR_PAGE;
	*to = last.value / MIRROR_PAGE < MIRROR_PAGES ? last.value / MIRROR_PAGE : MIRROR_PAGES - 1;
}

static bool cuts(const struct test_mirror *mirror, uint64_t page)
{
	return page && page < MIRROR_PAGES && mirror->pages[page].access && mirror->pages[page - 1].access &&
	       mirror->pages[page].extent == mirror->pages[page - 1].extent;
}

static void drop(struct test_mirror *mirror, struct viommu_iova first, struct viommu_iova last)
{
	uint64_t from, to;

	span(first, last, &from, &to);
	assert_false(cuts(mirror, from));
	assert_false(cuts(mirror, to + 1));
	for (uint64_t page = from; page <= to; page++)
		mirror->pages[page] = (struct test_mirror_page){0};
}

static int attach(void *opaque, enum viommu_space space)
{
	struct test_mirror *mirror = opaque;
	int err = mirror->refuse_attach;

	mirror->attaches++;
	mirror->refuse_attach = 0;
	if (!err)
		mirror->space = space;
	return err;
}

static void ask_later(struct test_mirror *mirror, const struct test_mirror_pending *pending)
{
	mirror->pending[mirror->pending_last++ % MIRROR_PENDING] = *pending;
	assert_true(mirror->pending_last - mirror->pending_first <= MIRROR_PENDING);
}

static int map(void *opaque, const struct viommu_extent *extent, uint64_t ticket)
{
	struct test_mirror *mirror = opaque;

	mirror->maps++;
	mirror->refused++;
	if (mirror->refuse_in && !--mirror->refuse_in)
		return mirror->refuse_err;
	if (mirror->refuse_one_in && !((unsigned)rand_r(&mirror->seed) / 7 % mirror->refuse_one_in))
		return -ENOSPC;
	mirror->refused--;
	take(mirror, extent);
	if (!mirror->slow || !ticket)
		return 0;
	ask_later(mirror,
		  &(struct test_mirror_pending){.ticket = ticket, .extent = *extent, .number = mirror->extents});
	return -EINPROGRESS;
}

static void unmap(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct test_mirror *mirror = opaque;

	mirror->unmaps++;
	mirror->undone += !ticket;
	drop(mirror, first, last);
	if (ticket && mirror->slow)
		ask_later(mirror, &(struct test_mirror_pending){.ticket = ticket});
	else if (ticket)
		viommu_client_ack(mirror->client, ticket);
}

static void batch_end(void *opaque)
{
	struct test_mirror *mirror = opaque;

	mirror->batches++;
}

static const struct viommu_mirror_ops ops = {
	.size = sizeof(ops), .attach = attach, .map = map, .unmap = unmap, .batch_end = batch_end};

int test_mirror_register(struct test_mirror *mirror, struct viommu_endpoint *endpoint)
{
	return viommu_mirror_register(endpoint, &ops, mirror, &mirror->client);
}

bool test_mirror_answer(struct test_mirror *mirror, int err)
{
	if (mirror->pending_first == mirror->pending_last)
		return false;
	const struct test_mirror_pending pending = mirror->pending[mirror->pending_first++ % MIRROR_PENDING];
	const bool there =
		pending.number && mirror->pages[pending.extent.first.value / MIRROR_PAGE].extent == pending.number;

	if (!err || !there) {
		viommu_client_ack(mirror->client, pending.ticket);
		return true;
	}
	drop(mirror, pending.extent.first, pending.extent.last);
	viommu_client_refuse(mirror->client, pending.ticket, err);
	return true;
}
