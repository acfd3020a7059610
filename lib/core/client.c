/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

enum { CHANGES_TOLD = 64 };

static const struct range everything = {0, UINT64_MAX};

/* The domain that it is in, or has not finished with. */
static uint16_t domain_of(const struct viommu_endpoint *endpoint)
{
	return endpoint->left ? endpoint->left->index
			      : section_domain(atomic_load_explicit(&endpoint->tag, memory_order_relaxed));
}

/* Is it about the client's endpoint? */
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

bool client_concerned(const struct viommu_client *client, const struct change *change)
{
	/* Caches are told of maps when they are made, and wait for nothing. */
	if ((change->kind == CHANGE_MAP || change->kind == CHANGE_ENTER) && !client->mirror)
		return false;
	/* A device with ATS has invalidations of its own. */
	if (change->spare_ats && !client->mirror && atomic_load_explicit(&client->endpoint->ats, memory_order_relaxed))
		return false;
	return about(client, change);
}

static void tell(struct viommu_client *client, const struct change *change)
{
	struct range range = change->kind == CHANGE_UNMAP ? change->range : everything;

	const uint64_t ticket = atomic_load_explicit(&client->asked, memory_order_relaxed) + 1;

	atomic_store_explicit(&client->asked, ticket, memory_order_relaxed);
	client->ops->invalidate(client->opaque, (struct viommu_iova){range.first}, (struct viommu_iova){range.last},
				ticket);
}

static void tell_map(const struct viommu_client *client, struct range range)
{
	if (client->ops && client->ops->map)
		client->ops->map(client->opaque, (struct viommu_iova){range.first}, (struct viommu_iova){range.last});
}

/* After an invalidation: where may there be something new in place of what it took away? False: nowhere. */
static bool renewed(const struct viommu_client *client, const struct change *change, struct range *range)
{
	if (change->kind == CHANGE_MAP || change->kind == CHANGE_ENTER || !about(client, change))
		return false;
	*range = change->kind == CHANGE_UNMAP ? change->range : everything;
	return change->kind != CHANGE_UNMAP || (change->domain->walk && change->domain->walk->told);
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

static void await(const struct viommu_client *client, struct work *work)
{
	work->clients[work->client_count++] = (struct client_wait){
		(struct viommu_client *)client, atomic_load_explicit(&client->asked, memory_order_relaxed)};
}

static void invalidate_cache(struct viommu_client *client, struct work *work)
{
	bool told = false;

	for (size_t i = 0; i < work->count; i++) {
		if (!client_concerned(client, &work->changes[i]))
			continue;
		tell(client, &work->changes[i]);
		told = true;
	}
	if (told)
		await(client, work);
	tell_all_again(client, work);
}

/* A mirror was told when the change was made. */
static void await_mirror(const struct viommu_client *mirror, struct work *work)
{
	for (size_t i = 0; i < work->count; i++) {
		if (!client_concerned(mirror, &work->changes[i]))
			continue;
		await(mirror, work);
		return;
	}
}

void clients_mapped(struct viommu_domain *domain, struct range range)
{
	struct viommu *v = domain->v;

	/* Who registers later looks for itself. */
	if (!atomic_load_explicit(&v->client_count, memory_order_relaxed))
		return;
	lock_take(&v->lock);
	for (struct viommu_client *client = v->clients; client; client = client->next)
		if (domain_of(client->endpoint) == domain->index)
			tell_map(client, range);
	lock_drop(&v->lock);
}

void clients_moved_locked(struct viommu_endpoint *endpoint)
{
	for (struct viommu_client *client = endpoint->v->clients; client; client = client->next)
		if (client->endpoint == endpoint)
			tell_map(client, everything);
}

void clients_invalidate(struct viommu *v, struct work *work)
{
	/* After the fence in work_begin(); partner: the read-modify-write in viommu_client_register(). */
	if (!atomic_load_explicit(&v->client_count, memory_order_relaxed))
		return;
	lock_take(&v->lock);
	for (struct viommu_client *client = v->clients; client; client = client->next)
		if (client->mirror)
			await_mirror(client, work);
		else
			invalidate_cache(client, work);
	lock_drop(&v->lock);
}

bool client_wait_over(const struct client_wait *wait)
{
	/* Acquire: partner of the release in viommu_client_ack(). */
	return !wait->client || atomic_load_explicit(&wait->client->acked, memory_order_acquire) >= wait->ticket;
}

bool clients_acked(struct viommu *v, struct work *work)
{
	if (!work->client_count)
		return true;
	lock_take(&v->lock);
#ifdef VIOMMU_WITHOUT_WAITING /* as in work.c */
	work->client_count = 0;
#endif
	while (work->client_count && client_wait_over(&work->clients[work->client_count - 1]))
		work->client_count--;
	bool acked = !work->client_count;

	lock_drop(&v->lock);
	return acked;
}

static int grow(struct work *work, size_t room)
{
	if (room <= work->client_room)
		return 0;
	struct client_wait *clients = realloc(work->clients, room * sizeof(*clients));

	if (!clients)
		return -ENOMEM;
	work->clients = clients;
	work->client_room = room;
	return 0;
}

int clients_room(struct viommu *v, struct work *work)
{
	return grow(work, atomic_load_explicit(&v->client_count, memory_order_relaxed));
}

static int register_locked(struct viommu *v, struct viommu_client *client) REQUIRES(v->lock)
{
	size_t count = atomic_load_explicit(&v->client_count, memory_order_relaxed) + 1;

	for (struct viommu_inval *inval = v->invals; inval; inval = inval->next)
		if (grow(inval->work, count))
			return -ENOMEM;
	client->next = v->clients;
	if (v->clients)
		v->clients->prev = client;
	v->clients = client;
	/* A full fence: partner of the one in work_begin(). What the client translates from now on is told to it. */
	atomic_fetch_add(&v->client_count, 1);
	return 0;
}

int client_add(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops,
	       const struct viommu_mirror_ops *mirror, void *opaque, struct viommu_client **out)
{
	struct viommu_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->endpoint = endpoint;
	client->ops = ops;
	client->mirror = mirror;
	client->opaque = opaque;
	lock_init(&client->lock);
	lock_take(&endpoint->v->lock);
	int err = register_locked(endpoint->v, client);

	/* Before the first callback, which acknowledges. */
	if (!err)
		*out = client;
	lock_drop(&endpoint->v->lock);
	if (err) {
		lock_fini(&client->lock);
		free(client);
	}
	return err;
}

int viommu_client_register(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops, void *opaque,
			   struct viommu_client **out)
{
	return client_add(endpoint, ops, NULL, opaque, out);
}

static void forget(struct work *work, const struct viommu_client *client)
{
	for (size_t i = 0; i < work->client_count; i++)
		if (work->clients[i].client == client)
			work->clients[i].client = NULL;
}

void viommu_client_unregister(struct viommu_client *client)
{
	if (!client)
		return;
	struct viommu *v = client->endpoint->v;

	if (client->mirror)
		mirror_forget(client);
	lock_take(&v->lock);
	for (struct viommu_inval *inval = v->invals; inval; inval = inval->next)
		forget(inval->work, client);
	for (struct work *work = v->quarantine; work; work = work->next)
		forget(work, client);
	if (client->next)
		client->next->prev = client->prev;
	if (client->prev)
		client->prev->next = client->next;
	else
		v->clients = client->next;
	atomic_fetch_sub_explicit(&v->client_count, 1, memory_order_relaxed);
	lock_drop(&v->lock);
	lock_fini(&client->lock);
	free(client->pending);
	free(client);
}

void viommu_client_ack(struct viommu_client *client, uint64_t ticket)
{
	uint64_t acked = atomic_load_explicit(&client->acked, memory_order_relaxed);

	/* Release: partner of the acquire in client_wait_over(); the client's accesses are over before. */
	while (acked < ticket && !atomic_compare_exchange_weak_explicit(&client->acked, &acked, ticket,
									memory_order_release, memory_order_relaxed))
		;
}
