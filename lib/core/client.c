/* SPDX-License-Identifier: BSD-2-Clause */
/* A client registers, acknowledges, and goes. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/wake.h"
#include "lib/util/sized.h"

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

int client_room(struct viommu *v, struct work *work)
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

static void client_free(struct viommu_client *client) NO_OTHER_THREAD
{
	lock_fini(&client->lock);
	free(client->pending);
	free(client);
}

int client_add(const struct viommu_client *kind, struct viommu_client **out)
{
	struct viommu_client *client = calloc(1, sizeof(*client));
	struct viommu_endpoint *endpoint = kind->endpoint;

	if (!client)
		return -ENOMEM;
	client->endpoint = endpoint;
	int err = kind->ops ? sized_take(&client->own_ops, sizeof(client->own_ops), kind->ops) : 0;

	if (!err && kind->mirror)
		err = sized_take(&client->own_mirror, sizeof(client->own_mirror), kind->mirror);
	if (err) {
		free(client);
		return err;
	}
	client->ops = kind->ops ? &client->own_ops : NULL;
	client->mirror = kind->mirror ? &client->own_mirror : NULL;
	client->opaque = kind->opaque;
	client->settle = kind->settle;
	lock_init(&client->lock);
	lock_take(&endpoint->v->lock);
	err = register_locked(endpoint->v, client);

	/* Before the first callback, which acknowledges. */
	if (!err)
		*out = client;
	lock_drop(&endpoint->v->lock);
	if (err)
		client_free(client);
	return err;
}

static void forget(struct work *work, const struct viommu_client *client)
{
	for (size_t i = 0; i < work->client_count; i++)
		if (work->clients[i].client == client)
			work->clients[i].client = NULL;
}

void client_remove(struct viommu_client *client)
{
	struct viommu *v = client->endpoint->v;

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
	client_free(client);
	wake_let_go(v);
}

void viommu__client_ack_at_once(struct viommu_client *client, uint64_t ticket)
{
	/* Release: as in viommu_client_ack(). No other thread acknowledges meanwhile, and none waits for older tickets.
	 */
	atomic_store_explicit(&client->acked, ticket, memory_order_release);
}

/* That viommu.lock is held in between is what the compiler does not see in other folders. */
void viommu__client_take(struct viommu_client *client) LOCK_ATTR(no_thread_safety_analysis)
{
	lock_take(&client->endpoint->v->lock);
}

void viommu__client_drop(struct viommu_client *client) LOCK_ATTR(no_thread_safety_analysis)
{
	lock_drop(&client->endpoint->v->lock);
}

void viommu_client_ack(struct viommu_client *client, uint64_t ticket)
{
	struct viommu *v = client->endpoint->v;
	uint64_t acked = atomic_load_explicit(&client->acked, memory_order_relaxed);

	/* Release: partner of the acquire in client_wait_over(); the client's accesses are over before. */
	while (acked < ticket && !atomic_compare_exchange_weak_explicit(&client->acked, &acked, ticket,
									memory_order_release, memory_order_relaxed))
		;
	wake_let_go(v);
}
