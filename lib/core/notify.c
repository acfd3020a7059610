/* SPDX-License-Identifier: BSD-2-Clause */
/* Each client is told of the changes that concern its endpoint, and then where something new may lie. */
#include "lib/core/notify.h"

enum { CHANGES_TOLD = 64 };

static const struct range everything = {0, UINT64_MAX};

/* The domain that it is in, or has not finished with. */
static uint16_t domain_of(const struct viommu_endpoint *endpoint)
{
	return endpoint->domain ? endpoint->domain->index : 0;
}

/* True: it is about the client's endpoint. */
static bool about(const struct viommu_client *client, const struct change *change)
{
	const struct viommu_endpoint *endpoint = client->endpoint;

	switch (change->kind) {
	case CHANGE_MAP:
	case CHANGE_UNMAP:
		if (client->mirror &&
		    atomic_load_explicit(&client->space, memory_order_relaxed) == change->domain->index)
			return true;
		/* An endpoint that is just moving may have a client that still lives in its old domain. */
		return endpoint->changes || domain_of(endpoint) == change->domain->index;
	case CHANGE_ENDPOINT:
	case CHANGE_ENTER:
	case CHANGE_NOTHING:
		return endpoint == change->endpoint;
	case CHANGE_MEMORY:
		return true;
	}
	return true;
}

static inline bool concerns(const struct viommu_client *client, const struct change *change)
{
	/* Caches are told of maps when they are made, and wait for nothing. */
	if (change_adds(change) && !client->mirror)
		return false;
#ifdef VIOMMU_MUTANT_SPARE_ATS /* wrong on purpose: spared of everything, of its own invalidations, too */
	const bool spare_ats = true;
#else
	const bool spare_ats = change->spare_ats;
#endif
	/* A device with ATS has invalidations of its own. */
	if (spare_ats && !client->mirror && atomic_load_explicit(&client->endpoint->ats, memory_order_relaxed))
		return false;
	return about(client, change);
}

bool notify_concerns(const struct viommu_client *client, const struct change *change)
{
	return concerns(client, change);
}

/* publish_lock() held. */
static inline void tell_locked(struct viommu_client *client, struct range range, uint64_t ticket)
{
	publish_cut_locked(client);
	client->ops->invalidate(client->opaque, (struct viommu_iova){range.first}, (struct viommu_iova){range.last},
				ticket);
}

static struct range told_range(const struct change *change)
{
	return change->kind == CHANGE_UNMAP ? change->range : everything;
}

static void tell(struct viommu_client *client, struct range range)
{
	const uint64_t ticket = atomic_load_explicit(&client->asked, memory_order_relaxed) + 1;

	atomic_store_explicit(&client->asked, ticket, memory_order_relaxed);
	if (client->settle) {
		tell_locked(client, range, ticket);
		return;
	}
	lock_take(&client->lock);
	tell_locked(client, range, ticket);
	lock_drop(&client->lock);
}

static void tell_map(const struct viommu_client *client, struct range range)
{
	if (client->ops && client->ops->map)
		client->ops->map(client->opaque, (struct viommu_iova){range.first}, (struct viommu_iova){range.last});
}

/* After an invalidation: *range, where something new may be in place of what it took away. False: nowhere. */
static bool renewed(const struct viommu_client *client, const struct change *change, struct range *range)
{
	if (change->kind == CHANGE_UNMAP && !(change->domain->walk && change->domain->walk->told))
		return false;
	*range = told_range(change);
	return !change_adds(change) && about(client, change);
}

/*
 * A guest can ask for a thousand invalidations at once: what they are about is told once, and as one where it is much.
 */
static void tell_all_again(const struct viommu_client *client, const struct work *work)
{
	struct range range, all = {UINT64_MAX, 0};
	unsigned count = 0;

	for (size_t i = 0; i < work->count; i++) {
		if (!renewed(client, &work->changes[i], &range))
			continue;
		count++;
		all.first = range.first < all.first ? range.first : all.first;
		all.last = range.last > all.last ? range.last : all.last;
	}
	if (count > CHANGES_TOLD || (count && all.first == 0 && all.last == UINT64_MAX)) {
		tell_map(client, all);
		return;
	}
	for (size_t i = 0; i < work->count && count; i++)
		if (renewed(client, &work->changes[i], &range))
			tell_map(client, range);
}

/* Unless it has acknowledged everything already, as a cache may while it is told. */
static inline void await(struct viommu_client *client, struct work *work)
{
	const struct client_wait wait = {client, atomic_load_explicit(&client->asked, memory_order_relaxed)};

	if (!client_wait_over(&wait))
		work->clients[work->client_count++] = wait;
}

/* Make one of two that overlap, or leave nothing between them. False: they do neither. */
static bool join(struct range *range, struct range other)
{
	const uint64_t after = range->last < UINT64_MAX ? range->last + 1 : UINT64_MAX;
	const uint64_t after_other = other.last < UINT64_MAX ? other.last + 1 : UINT64_MAX;

	if (other.first > after || range->first > after_other)
		return false;
	range->first = other.first < range->first ? other.first : range->first;
	range->last = other.last > range->last ? other.last : range->last;
	return true;
}

/*
 * Pages that are taken away one after the other, as a guest does that gathers its unmaps, are told as one. A serial
 * client is awaited when it has settled.
 */
static void invalidate_cache(struct viommu_client *client, struct work *work)
{
	bool told = false, again = false;
	struct range range, gathered = {0};

	for (size_t i = 0; i < work->count; i++) {
		const struct change *change = &work->changes[i];

		again |= renewed(client, change, &range);
		if (!concerns(client, change) || (told && join(&gathered, told_range(change))))
			continue;
		if (told)
			tell(client, gathered);
		gathered = told_range(change);
		told = true;
	}
	if (told)
		tell(client, gathered);
	client->unsettled = told && client->settle;
	if (told && !client->settle)
		await(client, work);
	if (again)
		tell_all_again(client, work);
}

/* A mirror was told when the change was made. */
static void await_mirror(struct viommu_client *mirror, struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		if (!notify_concerns(mirror, &work->changes[i]))
			continue;
		await(mirror, work);
		return;
	}
}

void notify_clients_mapped(struct viommu_domain *domain, struct range range)
{
	struct viommu *v = domain->v;

	lock_take(&v->lock);
	for (struct viommu_client *client = v->clients; client; client = client->next)
		if (domain_of(client->endpoint) == domain->index)
			tell_map(client, range);
	lock_drop(&v->lock);
}

void notify_moved_locked(struct viommu_endpoint *endpoint)
{
	for (struct viommu_client *client = endpoint->v->clients; client; client = client->next)
		if (client->endpoint == endpoint)
			tell_map(client, everything);
}

void notify_clients_invalidate(struct viommu *v, struct work *work)
{
	lock_take(&v->lock);
	for (struct viommu_client *client = v->clients; client; client = client->next)
		if (client->mirror)
			await_mirror(client, work);
		else
			invalidate_cache(client, work);
	/* Partners: as in notify_invalidate(), and the fences of those who read what serial clients have taken out. */
	atomic_thread_fence(memory_order_seq_cst);
	for (struct viommu_client *client = v->clients; client; client = client->next) {
		if (!client->unsettled)
			continue;
		client->settle(client->opaque);
		client->unsettled = false;
		await(client, work);
	}
	lock_drop(&v->lock);
}

void viommu__without_callbacks(struct viommu_endpoint *endpoint, void (*run)(void *opaque), void *opaque)
{
	lock_take(&endpoint->v->lock);
	run(opaque);
	lock_drop(&endpoint->v->lock);
}
