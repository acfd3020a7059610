/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer's side of a shared table: made, filled by maps and misses, and emptied by invalidations, which wait for
 * the readers in the other process.
 */
#include "lib/vhost_user/table/writer.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/core/internal.h"
#include "lib/util/lock.h"
#include "lib/util/sized.h"

enum { DEFAULT_BYTES = 16 << 20, DEFAULT_SLOTS = 16 };

/* Acquire: partner of the releases in view.c; what a reader did before it left, or came back, is over. */
static inline uint64_t inside(const struct shared_epoch *epoch)
{
	return atomic_load_explicit(&epoch->inside, memory_order_acquire);
}

/* False: each reader is outside, as it mostly is: a look at all slots with few branches. */
static bool any_inside(const struct viommu_shared *shared)
{
	const struct shared_epoch *epoch = shared->epochs;
	unsigned left = shared->config.slots;
	uint64_t any = 0;

	for (; left >= 4; left -= 4, epoch += 4)
		any |= inside(epoch) | inside(epoch + 1) | inside(epoch + 2) | inside(epoch + 3);
	for (; left; left--, epoch++)
		any |= inside(epoch);
	return any;
}

/*
 * The generation that all readers inside have seen; 0: the other side has written what it cannot have read. Its word is
 * taken for nothing but its own being inside: with a lie it uses memory too late, which it could do without one.
 */
static uint64_t oldest_locked(const struct viommu_shared *shared)
{
	uint64_t oldest = shared->generation;

#ifdef VIOMMU_MUTANT_WAITING /* wrong on purpose: nobody is waited for */
	return oldest;
#endif
	for (unsigned i = 0; i < shared->config.slots; i++) {
		const uint64_t since = inside(&shared->epochs[i]);

		if (since > shared->generation)
			return 0;
		if (since && since < oldest)
			oldest = since;
	}
	return oldest;
}

/* Acknowledge what can be. True: there is something left to wait for. */
static bool settle_locked(struct viommu_shared *shared)
{
	uint64_t oldest = shared->failed ? 0 : oldest_locked(shared);

	if (!oldest) {
		shared->failed = true;
		return false;
	}
	tree_recycle(&shared->tree, oldest);
	if (oldest - 1 > shared->acked) {
		shared->acked = oldest - 1;
		viommu_client_ack(shared->client, shared->acked);
	}
	shared->waits = oldest < shared->generation;
	return shared->waits;
}

/* With viommu.lock held, as the next ones. */
static void on_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	const struct range pages = {first.value >> SHARED_PAGE_SHIFT, last.value >> SHARED_PAGE_SHIFT};
	struct viommu_shared *shared = opaque;

	shared->stats.invalidations++;
	shared->generation = ticket + 1;
	tree_clear(&shared->tree, pages, shared->generation);
	/* Release: partner of the acquire in viommu_shared_enter(). */
	atomic_store_explicit(&shared->tree.table->generation, shared->generation, memory_order_release);
}

/*
 * The fence that comes before is the partner of the one in viommu_shared_enter(): what was taken out is visible before
 * we look for readers inside.
 */
static void on_settle(void *opaque)
{
	struct viommu_shared *shared = opaque;

	/* The common case, by itself for what it costs: nobody is inside, and nothing older waits. */
	if (!any_inside(shared) && !shared->waits && !shared->failed) {
		tree_recycle(&shared->tree, shared->generation);
		shared->acked = shared->generation - 1;
		viommu__client_ack_at_once(shared->client, shared->acked);
		return;
	}
	const bool failed = shared->failed, waits = settle_locked(shared);

	shared->stats.waited += waits;
	if (shared->failed && !failed && shared->config.failed)
		shared->config.failed(shared->config.opaque);
	if (waits && shared->config.pending)
		shared->config.pending(shared->config.opaque);
}

static void on_map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	shared_fill_locked(opaque, (struct range){first.value, last.value});
}

static const struct viommu_client_ops ops = {
	.size = sizeof(struct viommu_client_ops), .invalidate = on_invalidate, .map = on_map};

int viommu_shared_poll(struct viommu_shared *shared)
{
	viommu__client_take(shared->client);
	bool failed = shared->failed, waits = settle_locked(shared), now = shared->failed;

	viommu__client_drop(shared->client);
	if (now && !failed && shared->config.failed)
		shared->config.failed(shared->config.opaque);
	return now ? -EPROTO : waits ? -EAGAIN : 0;
}

uint64_t shared_acked(struct viommu_shared *shared)
{
	viommu__client_take(shared->client);
	uint64_t acked = shared->acked;

	viommu__client_drop(shared->client);
	return acked;
}

static int put(void *opaque, const struct viommu_extent *extent)
{
	struct viommu_shared *shared = opaque;

	return shared_put_locked(shared, (struct range){extent->first.value, extent->last.value}, extent->gpa.value,
				 extent->access);
}

int shared_miss(struct viommu_shared *shared, struct viommu_iova iova, unsigned access, bool report)
{
	viommu__client_take(shared->client);
	shared->stats.misses++;
	viommu__client_drop(shared->client);
	return viommu_publish(shared->client, iova, access, report, put, shared);
}

int viommu_shared_miss(struct viommu_shared *shared, struct viommu_iova iova, unsigned access)
{
	return shared_miss(shared, iova, access, true);
}

static int create_files(struct viommu_shared *shared)
{
	const struct viommu_shared_config *config = &shared->config;
	int err = shared_file_create("viommu-table", config->table_bytes, true, &shared->table_file);

	if (err)
		return err;
	err = shared_file_create("viommu-epochs", config->slots * sizeof(struct shared_epoch), false,
				 &shared->epochs_file);
	if (!err)
		err = tree_init(&shared->tree, shared->table_file.at, config->table_bytes);
	else
		goto err_table;
	if (!err)
		return 0;
	shared_file_destroy(&shared->epochs_file);
err_table:
	shared_file_destroy(&shared->table_file);
	return err;
}

static void destroy_files(struct viommu_shared *shared)
{
	tree_fini(&shared->tree);
	shared_file_destroy(&shared->epochs_file);
	shared_file_destroy(&shared->table_file);
}

static void write_header(struct viommu_shared *shared) NO_OTHER_THREAD
{
	struct shared_header *table = shared->table_file.at;

	table->magic = shared_magic;
	table->version = SHARED_VERSION;
	table->node_bytes = SHARED_NODE;
	table->table_bytes = shared->table_file.bytes;
	table->epochs_bytes = shared->epochs_file.bytes;
	table->epochs = shared->config.slots;
	table->epoch_bytes = SHARED_EPOCH;
	table->page_shift = SHARED_PAGE_SHIFT;
	table->bits = SHARED_BITS;
	atomic_store_explicit(&table->generation, 1, memory_order_relaxed); /* nobody else has it yet */
	shared->epochs = shared->epochs_file.at;
	shared->generation = 1;
}

static int set_config(struct viommu_shared *shared, const struct viommu_shared_config *config)
{
	struct viommu_shared_config *own = &shared->config;

	const int err = config ? sized_take(own, sizeof(*own), config) : 0;

	if (err)
		return err;
	if (!own->table_bytes)
		own->table_bytes = DEFAULT_BYTES;
	if (!own->slots)
		own->slots = DEFAULT_SLOTS;
	return own->table_bytes >= SHARED_TABLE_MIN && own->table_bytes <= SHARED_TABLE_MAX &&
			       !(own->table_bytes % SHARED_NODE) && own->slots <= SHARED_EPOCHS_MAX
		       ? 0
		       : -EINVAL;
}

/* As in on_map(), no invalidation of this client begins meanwhile. */
static void refill(void *opaque)
{
	struct viommu_shared *shared = opaque;

	/* Readers inside may walk what is taken out until the next invalidation is over. */
	tree_clear(&shared->tree, (struct range){0, UINT64_MAX >> SHARED_PAGE_SHIFT}, shared->generation + 1);
	shared_fill_locked(shared, (struct range){0, UINT64_MAX});
}

void viommu_shared_refill(struct viommu_shared *shared)
{
	viommu__without_callbacks(shared->endpoint, refill, shared);
}

int viommu_shared_create(struct viommu_endpoint *endpoint, const struct viommu_shared_config *config,
			 struct viommu_shared **out)
{
	struct viommu_shared *shared = calloc(1, sizeof(*shared));
	int err = shared ? set_config(shared, config) : -ENOMEM;

	if (err)
		goto err_free;
	err = create_files(shared);
	if (err)
		goto err_free;
	shared->endpoint = endpoint;
	write_header(shared);
	err = viommu__client_register_serial(endpoint, &ops, on_settle, shared, &shared->client);
	if (err)
		goto err_files;
	viommu_shared_refill(shared);
	*out = shared;
	return 0;
err_files:
	destroy_files(shared);
err_free:
	free(shared);
	return err;
}

void viommu_shared_destroy(struct viommu_shared *shared) NO_OTHER_THREAD
{
	if (!shared)
		return;
	viommu_client_unregister(shared->client);
	/* A reader that still has it mapped finds nothing. */
	atomic_store_explicit(&shared->tree.table->root, 0, memory_order_relaxed);
	destroy_files(shared);
	free(shared);
}

void viommu_shared_files_get(const struct viommu_shared *shared, struct viommu_shared_files *out)
{
	*out = (struct viommu_shared_files){
		.table_fd = shared->table_file.fd,
		.epochs_fd = shared->epochs_file.fd,
		.table_bytes = shared->table_file.bytes,
		.epochs_bytes = shared->epochs_file.bytes,
		.slots = shared->config.slots,
	};
}

int viommu_shared_stats_get(struct viommu_shared *shared, struct viommu_shared_stats *out)
{
	struct viommu_shared_stats now;
	viommu__client_take(shared->client);
	now = shared->stats;
	now.bytes = (uint64_t)(shared->tree.count - shared->tree.spared) * SHARED_NODE;
	viommu__client_drop(shared->client);
	return sized_give(out, &now, sizeof(now));
}
