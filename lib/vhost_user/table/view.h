/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader's side from the inside. */
#ifndef LIB_VHOST_USER_TABLE_VIEW_H
#define LIB_VHOST_USER_TABLE_VIEW_H

#include <viommu/shared_reader.h>

#include "lib/vhost_user/table/layout.h"

/* A line of its own, which all readers read at each access and nobody writes. */
struct viommu_shared_view {
	_Alignas(64) const struct shared_header *table;
	struct shared_epoch *epochs;
	uint64_t table_bytes, epochs_bytes;
	unsigned slots;
};

/* As viommu_shared_enter() and viommu_shared_leave(), for callers that have a slot at hand, below view->slots. */
static inline void shared_view_enter(const struct viommu_shared_view *view, unsigned slot)
{
	/*
	 * Acquire: partner of the release in writer.c; a reader that has seen the generation does not see what was
	 * taken out before it.
	 */
	uint64_t generation = atomic_load_explicit(&view->table->generation, memory_order_acquire);

	/* Release: partner of the acquire in writer.c; what this slot's reader did when it was inside last is over. */
	atomic_store_explicit(&view->epochs[slot].inside, generation, memory_order_release);
	/*
	 * Partner: the fence in writer.c. Either it comes later and the writer sees us, or it came before and we see
	 * its change.
	 */
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void shared_view_leave(const struct viommu_shared_view *view, unsigned slot)
{
	/* Release: partner of the acquire in writer.c; our accesses are over. */
	atomic_store_explicit(&view->epochs[slot].inside, 0, memory_order_release);
}

/* As viommu_shared_find(), for callers that are inside, without what a reader remembers. */
int shared_view_find(const struct viommu_shared_view *view, uint64_t iova, unsigned access,
		     struct viommu_shared_extent *out);

#endif
