/* SPDX-License-Identifier: BSD-2-Clause */
/* What the mirrors of a domain are told, and what they have refused. */
#include "lib/core/mirror.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/limits.h"

/* For each extent of a mapping: what of it is memory. Ends with the first result that is not 0. */
static int mapping_extents(const struct memory_region *regions, size_t count, const struct mapping *mapping,
			   int (*visit)(void *opaque, const struct viommu_extent *extent), void *opaque)
{
	const unsigned access = mapping->access & (VIOMMU_READ | VIOMMU_WRITE);
	const struct range gpa = {mapping->gpa, mapping->gpa + (mapping->iova.last - mapping->iova.first)};
	int ret = 0;

	if (!access || mapping->access & VIOMMU_MMIO)
		return 0;
	for (size_t i = 0; i < count && !ret; i++) {
		const struct memory_region *region = &regions[i];

		if (!range_overlaps(region->gpa, gpa))
			continue;
		uint64_t first = region->gpa.first > gpa.first ? region->gpa.first : gpa.first;
		uint64_t last = region->gpa.last < gpa.last ? region->gpa.last : gpa.last;
		uint64_t offset = first - region->gpa.first;

		ret = visit(opaque, &(struct viommu_extent){
					    .first = {mapping->iova.first + (first - gpa.first)},
					    .last = {mapping->iova.first + (last - gpa.first)},
					    .access = access,
					    .gpa = {first},
					    .host = region->host + offset,
					    .fd = region->fd,
					    .fd_offset = region->fd_offset + offset,
				    });
	}
	return ret;
}

int mirrors_each_mapping(struct viommu_domain *domain, const struct memory *memory, mapping_visitor visit, void *opaque)
{
	const struct table *table = domain->walk ? &domain->shadow : &domain->table;
	struct table_mapping found;
	uint64_t page = 0;
	int ret = 0;

	if (domain->identity) {
		for (size_t i = 0; i < memory->count && !ret; i++)
			ret = visit(opaque, &(struct mapping){.iova = memory->regions[i].gpa,
							      .gpa = memory->regions[i].gpa.first,
							      .access = VIOMMU_READ | VIOMMU_WRITE});
		return ret;
	}
	while (!ret && table_mapping_next(table, page, &found)) {
		ret = visit(opaque, &(struct mapping){.iova = {found.pages.first << TABLE_PAGE_SHIFT,
							       table_last_byte(found.pages.last)},
						      .gpa = found.gpa,
						      .access = found.access});
		if (found.pages.last == UINT64_MAX >> TABLE_PAGE_SHIFT)
			break;
		page = found.pages.last + 1;
	}
	return ret;
}

/* Forget maps that are over: acknowledged and not refused. */
static void pending_prune(struct viommu_client *mirror) REQUIRES(mirror->lock)
{
	const uint64_t acked = atomic_load_explicit(&mirror->acked, memory_order_acquire);
	size_t kept = 0;

	for (size_t i = 0; i < mirror->pending_count; i++)
		if (mirror->pending[i].ticket > acked || mirror->pending[i].err)
			mirror->pending[kept++] = mirror->pending[i];
	mirror->pending_count = kept;
}

/* Forget what was in progress in a range, or was refused: it is unmapped. */
static void pending_forget(struct viommu_client *mirror, struct range iova)
{
	size_t kept = 0;

	lock_take(&mirror->lock);
	for (size_t i = 0; i < mirror->pending_count; i++)
		if (!range_overlaps(mirror->pending[i].iova, iova))
			mirror->pending[kept++] = mirror->pending[i];
	mirror->pending_count = kept;
	lock_drop(&mirror->lock);
}

int mirror_refusal(struct viommu_client *mirror, struct range iova, struct range *refused)
{
	int err = 0;

	lock_take(&mirror->lock);
	for (size_t i = 0; i < mirror->pending_count && !err; i++) {
		if (!mirror->pending[i].err || !range_overlaps(mirror->pending[i].iova, iova))
			continue;
		err = mirror->pending[i].err;
		*refused = mirror->pending[i].iova;
		mirror->pending[i] = mirror->pending[--mirror->pending_count];
	}
	lock_drop(&mirror->lock);
	return err;
}

/* Before the mirror is asked: it may refuse at once. */
static int pending_note(struct viommu_client *mirror, uint64_t ticket, struct range iova)
{
	int err = 0;

	lock_take(&mirror->lock);
	pending_prune(mirror);
	if (mirror->pending_count == mirror->pending_room) {
		size_t room = mirror->pending_room ? 2 * mirror->pending_room : 16;
		struct pending_map *pending = realloc(mirror->pending, room * sizeof(*pending));

		if (pending) {
			mirror->pending = pending;
			mirror->pending_room = room;
		} else {
			err = -ENOMEM;
		}
	}
	if (!err)
		mirror->pending[mirror->pending_count++] = (struct pending_map){.ticket = ticket, .iova = iova};
	lock_drop(&mirror->lock);
	return err;
}

static void pending_drop_last(struct viommu_client *mirror)
{
	lock_take(&mirror->lock);
	mirror->pending_count--;
	lock_drop(&mirror->lock);
}

void viommu_client_refuse(struct viommu_client *client, uint64_t ticket, int err)
{
	lock_take(&client->lock);
	for (size_t i = 0; i < client->pending_count; i++)
		if (client->pending[i].ticket == ticket)
			client->pending[i].err = err;
	lock_drop(&client->lock);
	viommu_client_ack(client, ticket);
}

/* One mirror and one mapping, of which extents are told. */
struct telling {
	struct viommu_client *mirror;
	struct range iova;
	bool may_wait, waits;
};

uint64_t mirror_next_ticket(const struct viommu_client *mirror)
{
	return atomic_load_explicit(&mirror->asked, memory_order_relaxed) + 1;
}

static int tell_extent(void *opaque, const struct viommu_extent *extent)
{
	struct telling *telling = opaque;
	struct viommu_client *mirror = telling->mirror;

	mirror->told = true;
	if (!telling->may_wait) {
		int err = mirror->mirror->map(mirror->opaque, extent, 0);

		return err > 0 ? -EIO : err;
	}
	const uint64_t ticket = mirror_next_ticket(mirror);
	int err = pending_note(mirror, ticket, telling->iova);

	if (err)
		return err;
	err = mirror->mirror->map(mirror->opaque, extent, ticket);
	if (err != -EINPROGRESS) {
		pending_drop_last(mirror);
		return err > 0 ? -EIO : err;
	}
	atomic_store_explicit(&mirror->asked, ticket, memory_order_relaxed);
	telling->waits = true;
	return 0;
}

static int check_extent(void *opaque, const struct viommu_extent *extent)
{
	return limits_check(opaque, (struct range){extent->first.value, extent->last.value}, extent->gpa.value);
}

/* False: the mirror's endpoint cannot have some of it, so that the mirror is not told of any. */
static bool can_have(const struct viommu_client *mirror, const struct memory_region *regions, size_t count,
		     const struct mapping *mapping)
{
	struct limits *limits = mirror->endpoint->limits;

	return !limits || !mapping_extents(regions, count, mapping, check_extent, limits);
}

int mirror_map(struct viommu_client *mirror, const struct memory_region *regions, size_t count,
	       const struct mapping *mapping, bool may_wait)
{
	struct telling telling = {.mirror = mirror, .iova = mapping->iova, .may_wait = may_wait};

	if (!can_have(mirror, regions, count, mapping))
		return -EOPNOTSUPP;
	int err = mapping_extents(regions, count, mapping, tell_extent, &telling);

	return err ? err : telling.waits;
}

void mirror_unmap(struct viommu_client *mirror, struct range iova, uint64_t ticket)
{
	mirror->told = true;
	pending_forget(mirror, iova);
	if (ticket)
		atomic_store_explicit(&mirror->asked, ticket, memory_order_relaxed);
	mirror->mirror->unmap(mirror->opaque, (struct viommu_iova){iova.first}, (struct viommu_iova){iova.last},
			      ticket);
}

void mirror_batch_end(struct viommu_client *mirror)
{
	if (mirror->told && mirror->mirror->batch_end)
		mirror->mirror->batch_end(mirror->opaque);
	mirror->told = false;
}

void mirrors_undo(struct viommu_domain *domain, struct range iova)
{
	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain)
		mirror_unmap(mirror, iova, 0);
}

int mirrors_map(struct viommu_domain *domain, const struct mapping *mapping, bool may_wait)
{
	int waits = 0;

	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain) {
		int ret = mirror_map(mirror, domain->mirror_memory->regions, domain->mirror_memory->count, mapping,
				     may_wait);

		if (ret < 0) {
			mirrors_undo(domain, mapping->iova);
			return ret;
		}
		waits |= ret;
	}
	return waits;
}

bool mirrors_can_have(struct viommu_domain *domain, const struct mapping *mapping)
{
	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain)
		if (!can_have(mirror, domain->mirror_memory->regions, domain->mirror_memory->count, mapping))
			return false;
	return true;
}

void mirrors_unmap(struct viommu_domain *domain, struct range iova)
{
	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain)
		mirror_unmap(mirror, iova, mirror_next_ticket(mirror));
}

void mirrors_close(struct viommu_domain *domain)
{
	lock_take(&domain->mirror_lock);
	mirrors_unmap(domain, (struct range){0, UINT64_MAX});
	mirrors_batch_end_locked(domain);
	lock_drop(&domain->mirror_lock);
}

void mirrors_batch_end_locked(struct viommu_domain *domain)
{
	for (struct viommu_client *mirror = domain->mirrors; mirror; mirror = mirror->next_in_domain)
		mirror_batch_end(mirror);
}

void mirrors_batch_end(struct viommu_domain *domain)
{
	if (!mirrored(domain))
		return;
	lock_take(&domain->mirror_lock);
	mirrors_batch_end_locked(domain);
	lock_drop(&domain->mirror_lock);
}
