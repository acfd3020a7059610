/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/core/limits.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/util/sized.h"

enum { GRANULE_MIN = 1 << TABLE_PAGE_SHIFT, ADDRESS_BITS_MIN = 32, ADDRESS_BITS_MAX = 64 };

static struct range limits_range(const struct viommu_reserved *reserved)
{
	return (struct range){reserved->first.value, reserved->last.value};
}

static bool limits_valid(const struct viommu_endpoint_limits *given)
{
	unsigned msi = 0;

	if (given->page_sizes & (GRANULE_MIN - 1) || given->reserved_count > VIOMMU_RESERVED_MAX)
		return false;
	if (given->address_bits && (given->address_bits < ADDRESS_BITS_MIN || given->address_bits > ADDRESS_BITS_MAX))
		return false;
	for (size_t i = 0; i < given->reserved_count; i++) {
		const struct range range = limits_range(&given->reserved[i]);

		if (range.first > range.last || !range_aligned(range, GRANULE_MIN))
			return false;
		for (size_t j = 0; j < i; j++)
			if (range_overlaps(range, limits_range(&given->reserved[j])))
				return false;
		msi += given->reserved[i].msi;
	}
	return msi <= 1;
}

static int compare(const void *a, const void *b)
{
	const struct viommu_reserved *one = a, *other = b;

	return one->first.value < other->first.value ? -1 : 1;
}

/* What lies beyond the width of addresses is one more region, and cuts the others. */
static void take_reserved(struct limits *limits, const struct viommu_endpoint_limits *given)
{
	const bool narrow = given->address_bits && given->address_bits < ADDRESS_BITS_MAX;
	const uint64_t last = narrow ? (1ull << given->address_bits) - 1 : UINT64_MAX;

	for (size_t i = 0; i < given->reserved_count; i++) {
		struct viommu_reserved *reserved = &limits->reserved[limits->count];

		*reserved = given->reserved[i];
		if (reserved->last.value > last)
			reserved->last.value = last;
		limits->count += reserved->first.value <= last;
	}
	qsort(limits->reserved, limits->count, sizeof(limits->reserved[0]), compare);
	if (narrow)
		limits->reserved[limits->count++] = (struct viommu_reserved){.first = {last + 1}, .last = {UINT64_MAX}};
}

/* *out is NULL where they exclude nothing. */
static int limits_create(const struct viommu_endpoint_limits *given, struct limits **out)
{
	const size_t room = given->reserved_count + 1;
	struct limits *limits = calloc(1, sizeof(*limits) + room * sizeof(limits->reserved[0]));

	if (!limits)
		return -ENOMEM;
	limits->granule = given->page_sizes ? given->page_sizes & -given->page_sizes : GRANULE_MIN;
	for (unsigned i = 0; i < 2; i++)
		limits->links[i].limits = limits;
	take_reserved(limits, given);
	*out = limits;
	if (!limits->count && limits->granule == GRANULE_MIN) {
		free(limits);
		*out = NULL;
	}
	return 0;
}

int viommu_endpoint_set_limits(struct viommu_endpoint *endpoint, const struct viommu_endpoint_limits *given)
{
	struct viommu_endpoint_limits own;
	struct limits *limits;
	int err = sized_take(&own, sizeof(own), given);

	if (!err)
		err = limits_valid(&own) ? limits_create(&own, &limits) : -EINVAL;
	if (err)
		return err;
	lock_take(&endpoint->move_lock);
	lock_take(&endpoint->v->lock);
	if (endpoint->domain || endpoint->sink)
		err = -EBUSY;
	lock_drop(&endpoint->v->lock);
	if (!err) {
		struct limits *old = endpoint->limits;

		endpoint->limits = limits;
		limits = old;
	}
	lock_drop(&endpoint->move_lock);
	free(limits);
	return err;
}

const struct viommu_reserved *viommu__endpoint_reserved(const struct viommu_endpoint *endpoint, size_t *count)
{
	const struct limits *limits = endpoint->limits;

	*count = limits ? limits->count : 0;
	return limits ? limits->reserved : NULL;
}

int limits_check(const struct limits *limits, struct range iova, uint64_t gpa)
{
	if (!range_aligned(iova, limits->granule) || gpa & (limits->granule - 1))
		return -ERANGE;
	for (size_t i = 0; i < limits->count; i++)
		if (range_overlaps(iova, limits_range(&limits->reserved[i])))
			return -EINVAL;
	return 0;
}

int limits_check_all(const struct viommu_domain *domain, struct range iova, uint64_t gpa)
{
	int err = 0;

	for (const struct limits_link *link = domain->limits; link && !err; link = link->next)
		err = limits_check(link->limits, iova, gpa);
	return err;
}

void limits_note_asked(struct viommu_domain *domain)
{
	spin_take(&domain->lock);
	atomic_store_explicit(&domain->mirrored, domain->mirrors != NULL, memory_order_relaxed);
	atomic_store_explicit(&domain->maps_ask, domain->mirrors || domain->limits, memory_order_relaxed);
	spin_drop(&domain->lock);
}

/* Mappings may go meanwhile, but none comes that does not suit. */
static bool aligned_all(struct viommu_domain *domain, const struct limits *limits)
{
	struct table_mapping found;
	uint64_t page = 0;

	for (;;) {
		spin_take(&domain->lock);
		const bool any = table_mapping_next(&domain->table, page, &found);

		spin_drop(&domain->lock);
		if (!any)
			return true;
		const struct range iova = {found.pages.first << TABLE_PAGE_SHIFT, table_last_byte(found.pages.last)};

		if (!range_aligned(iova, limits->granule) || found.gpa & (limits->granule - 1))
			return false;
		if (iova.last == UINT64_MAX)
			return true;
		page = found.pages.last + 1;
	}
}

static bool suits(struct viommu_domain *domain, const struct limits *limits) REQUIRES(domain->mirror_lock)
{
	for (size_t i = 0; i < limits->count; i++) {
		struct range pages = table_pages(limits_range(&limits->reserved[i]));

		spin_take(&domain->lock);
		const bool touched = table_touched(&domain->table, &pages);

		spin_drop(&domain->lock);
		if (touched)
			return false;
	}
	return limits->granule == GRANULE_MIN || aligned_all(domain, limits);
}

int limits_enter(struct viommu_endpoint *endpoint, struct viommu_domain *to)
{
	struct limits *limits = endpoint->limits;

	if (!limits || !to || to->identity || to->walk || limits->links[0].domain == to ||
	    limits->links[1].domain == to)
		return 0;
	struct limits_link *link = &limits->links[limits->links[0].domain != NULL];

	link->domain = to;
	lock_take(&to->mirror_lock);
	link->next = to->limits;
	to->limits = link;
	/* Maps ask from now on, so what is looked at next is all that there is. */
	limits_note_asked(to);
	const bool fits = suits(to, limits);

	lock_drop(&to->mirror_lock);
	return fits ? 0 : -EOPNOTSUPP;
}

static void leave(struct limits_link *link)
{
	struct viommu_domain *domain = link->domain;

	lock_take(&domain->mirror_lock);
	struct limits_link **at = &domain->limits;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	limits_note_asked(domain);
	lock_drop(&domain->mirror_lock);
	link->domain = NULL;
}

void limits_moved(struct viommu_endpoint *endpoint, const struct viommu_domain *domain)
{
	if (!endpoint->limits)
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct limits_link *link = &endpoint->limits->links[i];

		if (link->domain && link->domain != domain)
			leave(link);
	}
}
