/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The spaces that mirrors are in: a mirror enters a space by being told all that it maps, and leaves it by being told
 * that nothing is mapped. Registration, and moves of the endpoint.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/endpoint.h"
#include "lib/core/inval.h"
#include "lib/core/limits.h"
#include "lib/core/mirror.h"

static const struct range everything = {0, UINT64_MAX};

static void link_mirror(struct viommu_domain *domain, struct viommu_client *mirror) REQUIRES(domain->mirror_lock)
{
	/* Acquire: partner of the release where memory is added; the array is there. */
	if (!domain->mirrors)
		domain->mirror_memory = atomic_load_explicit(&domain->v->mirror_memory, memory_order_acquire);
	mirror->next_in_domain = domain->mirrors;
	domain->mirrors = mirror;
	atomic_store_explicit(&mirror->space, domain->index, memory_order_relaxed);
	limits_note_asked(domain);
}

static void unlink_mirror(struct viommu_domain *domain, struct viommu_client *mirror) REQUIRES(domain->mirror_lock)
{
	struct viommu_client **link = &domain->mirrors;

	while (*link != mirror)
		link = &(*link)->next_in_domain;
	*link = mirror->next_in_domain;
	atomic_store_explicit(&mirror->space, 0, memory_order_relaxed);
	limits_note_asked(domain);
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
		err = mirrors_each_mapping(domain, domain->mirror_memory, enter_mapping,
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
		lock_take(&endpoint->v->lock);
		endpoint_aim_locked(endpoint, NULL);
		endpoint->domain = NULL;
		lock_drop(&endpoint->v->lock);
		limits_moved(endpoint, NULL);
		viommu__domain_put(change->domain, 1);
		leave_all(endpoint, change->domain, NULL);
	}
	lock_drop(&endpoint->move_lock);
	return err;
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
