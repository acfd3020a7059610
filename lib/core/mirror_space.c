/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The spaces that mirrors are in: a mirror enters a space by being told all that it maps, and leaves it by being told
 * that nothing is mapped. Registration, moves of the endpoint, and memory that comes and goes.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

static const struct range everything = {0, UINT64_MAX};

typedef int (*mapping_visitor)(void *opaque, const struct mapping *mapping);

/* For each mapping of a domain; what a walked one maps is in its shadow. Ends with the first result that is not 0. */
static int each_mapping(struct viommu_domain *domain, const struct memory *memory, mapping_visitor visit, void *opaque)
	REQUIRES(domain->mirror_lock)
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

static void set_mirrored(struct viommu_domain *domain) REQUIRES(domain->mirror_lock)
{
	spin_take(&domain->lock);
	atomic_store_explicit(&domain->mirrored, domain->mirrors != NULL, memory_order_relaxed);
	spin_drop(&domain->lock);
}

static void link_mirror(struct viommu_domain *domain, struct viommu_client *mirror) REQUIRES(domain->mirror_lock)
{
	/* Acquire: partner of the release where memory is added; the array is there. */
	if (!domain->mirrors)
		domain->mirror_memory = atomic_load_explicit(&domain->v->mirror_memory, memory_order_acquire);
	mirror->next_in_domain = domain->mirrors;
	domain->mirrors = mirror;
	atomic_store_explicit(&mirror->space, domain->index, memory_order_relaxed);
	set_mirrored(domain);
}

static void unlink_mirror(struct viommu_domain *domain, struct viommu_client *mirror) REQUIRES(domain->mirror_lock)
{
	struct viommu_client **link = &domain->mirrors;

	while (*link != mirror)
		link = &(*link)->next_in_domain;
	*link = mirror->next_in_domain;
	atomic_store_explicit(&mirror->space, 0, memory_order_relaxed);
	set_mirrored(domain);
	if (!domain->mirrors)
		table_fini(&domain->shadow);
}

/* A mirror that is told the mappings of a domain, as far as they are in `memory`. */
struct entering {
	struct viommu_client *mirror;
	const struct memory *memory;
	bool may_wait;
};

static int enter_mapping(void *opaque, const struct mapping *mapping)
{
	const struct entering *entering = opaque;

	int ret = mirror_map(entering->mirror, entering->memory->regions, entering->memory->count, mapping,
			     entering->may_wait);

	return ret < 0 ? ret : 0;
}

static int enter_space(struct viommu_client *mirror, struct viommu_domain *domain, bool may_wait)
{
	int err = 0;

	if (!domain)
		return 0;
	lock_take(&domain->mirror_lock);
	link_mirror(domain, mirror);
	/* The first mirror of a walked domain makes the shadow that others are told of. */
	if (domain->walk && !mirror->next_in_domain)
		mirrors_refresh(domain, everything, may_wait);
	else
		err = each_mapping(domain, domain->mirror_memory, enter_mapping,
				   &(struct entering){mirror, domain->mirror_memory, may_wait});
	if (err) {
		unlink_mirror(domain, mirror);
		mirror_unmap(mirror, everything, 0);
	}
	mirror_batch_end(mirror);
	lock_drop(&domain->mirror_lock);
	return err;
}

static void leave_space(struct viommu_client *mirror, struct viommu_domain *domain)
{
	if (!domain)
		return;
	lock_take(&domain->mirror_lock);
	unlink_mirror(domain, mirror);
	mirror_unmap(mirror, everything, mirror_next_ticket(mirror));
	mirror_batch_end(mirror);
	lock_drop(&domain->mirror_lock);
}

/* Ask whether the mirror may go there: 0, or its refusal. */
static int ask_space(const struct viommu_client *mirror, const struct viommu_domain *domain)
{
	const enum viommu_space space = !domain            ? VIOMMU_SPACE_BLOCKED
					: domain->identity ? VIOMMU_SPACE_BYPASS
							   : VIOMMU_SPACE_DOMAIN;

	if (domain && domain->walk && !domain->walk->told)
		return -EOPNOTSUPP;
	const int err = mirror->mirror->attach ? mirror->mirror->attach(mirror->opaque, space) : 0;

	return domain ? err : 0;
}

/* One mirror. On an error it is back; *lost: it is nowhere. A mirror that goes back has to answer at once. */
static int switch_one(struct viommu_client *mirror, struct viommu_domain *from, struct viommu_domain *to, bool may_wait,
		      bool *lost)
{
	int err = ask_space(mirror, to);

	if (err)
		return err;
	leave_space(mirror, from);
	err = enter_space(mirror, to, may_wait);
	if (err && (ask_space(mirror, from) || enter_space(mirror, from, false)))
		*lost = true;
	return err;
}

/* Each mirror leaves the space that it is in: one of these two, or none. */
static void leave_all(struct viommu_endpoint *endpoint, struct viommu_domain *one, struct viommu_domain *other)
	REQUIRES(endpoint->move_lock)
{
	for (struct viommu_client *mirror = endpoint->mirrors; mirror; mirror = mirror->next_of_endpoint) {
		const uint16_t space = atomic_load_explicit(&mirror->space, memory_order_relaxed);

		if (space)
			leave_space(mirror, one && one->index == space ? one : other);
	}
}

int mirrors_switch(struct viommu_endpoint *endpoint, struct viommu_domain *from, struct viommu_domain *to, bool *lost)
{
	struct viommu_client *mirror = endpoint->mirrors;
	int err = 0;

	*lost = false;
	for (; mirror && !err; mirror = err ? mirror : mirror->next_of_endpoint)
		err = switch_one(mirror, from, to, true, lost);
	for (struct viommu_client *back = endpoint->mirrors; err && back != mirror; back = back->next_of_endpoint)
		if (switch_one(back, to, from, false, lost))
			*lost = true;
	/* Where one could not go back the others follow it out. */
	if (*lost)
		leave_all(endpoint, from, to);
	return err;
}

static void block(struct viommu_endpoint *endpoint)
{
	lock_take(&endpoint->v->lock);
	atomic_store_explicit(&endpoint->tag, (uint32_t)endpoint->index << 16, memory_order_release);
	struct viommu_domain *domain = endpoint->domain;

	endpoint->domain = NULL;
	lock_drop(&endpoint->v->lock);
	viommu__domain_put(domain, 1);
}

int mirrors_settle_enter(struct change *change)
{
	struct viommu_endpoint *endpoint = change->endpoint;
	struct range refused;
	int err = 0;

	lock_take(&endpoint->move_lock);
	for (struct viommu_client *mirror = endpoint->mirrors; mirror && !err; mirror = mirror->next_of_endpoint)
		if (atomic_load_explicit(&mirror->space, memory_order_relaxed) == change->domain->index)
			err = mirror_refusal(mirror, everything, &refused);
	if (err) {
		/* As if it left the domain: its open sections are waited for. The change keeps its own reference. */
		change->kind = CHANGE_ENDPOINT;
		block(endpoint);
		leave_all(endpoint, change->domain, NULL);
	}
	lock_drop(&endpoint->move_lock);
	return err;
}

/* A region that comes to a domain's mirrors, or goes. */
struct memory_change {
	struct viommu_domain *domain;
	const struct memory_region *region;
	bool undo; /* it has not come after all */
};

static int add_mapping(void *opaque, const struct mapping *mapping)
{
	const struct memory_change *change = opaque;
	int ret = 0;

	lock_is_held(&change->domain->mirror_lock);
	for (struct viommu_client *mirror = change->domain->mirrors; mirror && !ret; mirror = mirror->next_in_domain)
		ret = mirror_map(mirror, change->region, 1, mapping, false);
	return ret;
}

static int remove_mapping(void *opaque, const struct mapping *mapping)
{
	const struct memory_change *change = opaque;
	const struct range region = change->region->gpa,
			   gpa = {mapping->gpa, mapping->gpa + (mapping->iova.last - mapping->iova.first)};
	struct range iova = mapping->iova;

	if (!range_overlaps(gpa, region))
		return 0;
	lock_is_held(&change->domain->mirror_lock);
	iova.first += region.first > gpa.first ? region.first - gpa.first : 0;
	iova.last -= region.last < gpa.last ? gpa.last - region.last : 0;
	for (struct viommu_client *mirror = change->domain->mirrors; mirror; mirror = mirror->next_in_domain)
		mirror_unmap(mirror, iova, change->undo ? 0 : mirror_next_ticket(mirror));
	return 0;
}

/* All mappings of the region are told, as a bypass has them: the mappings that the region gives by itself. */
static int tell_region(struct viommu_domain *domain, mapping_visitor visit, struct memory_change *change)
	REQUIRES(domain->mirror_lock)
{
	int err;

	if (domain->identity)
		err = visit(change, &(struct mapping){.iova = change->region->gpa,
						      .gpa = change->region->gpa.first,
						      .access = VIOMMU_READ | VIOMMU_WRITE});
	else
		err = each_mapping(domain, NULL, visit, change);
	mirrors_batch_end_locked(domain);
	return err;
}

static void forget_region(struct viommu_domain *domain, const struct memory *memory, struct memory_change *change)
	REQUIRES(domain->mirror_lock)
{
	tell_region(domain, remove_mapping, change);
	domain->mirror_memory = memory;
}

/* Mirrors that entered a space since the new array is known have been told of it all already. */
static int add_to_domain(struct viommu_domain *domain, const struct memory *old, const struct memory *memory,
			 const struct memory_region *region)
{
	struct memory_change change = {.domain = domain, .region = region, .undo = true};
	int err = 0;

	lock_take(&domain->mirror_lock);
	if (domain->mirrors && domain->mirror_memory != memory) {
		err = tell_region(domain, add_mapping, &change);
		if (err)
			forget_region(domain, old, &change);
		else
			domain->mirror_memory = memory;
	}
	lock_drop(&domain->mirror_lock);
	return err;
}

int mirrors_memory_added(struct viommu *v, const struct memory *old, const struct memory *memory,
			 const struct memory_region *region)
{
	int err = 0;

	/* Release: partner of the acquire in link_mirror(). */
	atomic_store_explicit(&v->mirror_memory, memory, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain && !err; domain = domain->next)
		err = add_to_domain(domain, old, memory, region);
	if (!err)
		return 0;
	atomic_store_explicit(&v->mirror_memory, old, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next) {
		struct memory_change change = {.domain = domain, .region = region, .undo = true};

		lock_take(&domain->mirror_lock);
		if (domain->mirrors && domain->mirror_memory == memory)
			forget_region(domain, old, &change);
		lock_drop(&domain->mirror_lock);
	}
	return err;
}

void mirrors_memory_removed(struct viommu *v, const struct memory *memory, const struct memory_region *region)
{
	atomic_store_explicit(&v->mirror_memory, memory, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next) {
		struct memory_change change = {.domain = domain, .region = region};

		lock_take(&domain->mirror_lock);
		if (domain->mirrors && domain->mirror_memory != memory)
			forget_region(domain, memory, &change);
		lock_drop(&domain->mirror_lock);
	}
}

/* The domain that the endpoint is in, or failed in. It does not move meanwhile, so that the domain lives. */
static struct viommu_domain *current_space(struct viommu_endpoint *endpoint) REQUIRES(endpoint->move_lock)
{
	lock_take(&endpoint->v->lock);
	struct viommu_domain *domain = endpoint->domain;

	lock_drop(&endpoint->v->lock);
	return domain;
}

void mirror_forget(struct viommu_client *mirror)
{
	struct viommu_endpoint *endpoint = mirror->endpoint;

	lock_take(&endpoint->move_lock);
	struct viommu_client **link = &endpoint->mirrors;

	while (*link != mirror)
		link = &(*link)->next_of_endpoint;
	*link = mirror->next_of_endpoint;
	struct viommu_domain *domain = current_space(endpoint);

	if (domain && atomic_load_explicit(&mirror->space, memory_order_relaxed) == domain->index) {
		lock_take(&domain->mirror_lock);
		unlink_mirror(domain, mirror);
		lock_drop(&domain->mirror_lock);
	}
	lock_drop(&endpoint->move_lock);
}

int mirror_join(struct viommu_client *mirror)
{
	struct viommu_endpoint *endpoint = mirror->endpoint;

	lock_take(&endpoint->move_lock);
	struct viommu_domain *domain = current_space(endpoint);

	mirror->next_of_endpoint = endpoint->mirrors;
	endpoint->mirrors = mirror;
	int err = ask_space(mirror, domain);

	if (!err)
		err = enter_space(mirror, domain, false);
	lock_drop(&endpoint->move_lock);
	return err;
}
