/* SPDX-License-Identifier: BSD-2-Clause */
/* The context: made, destroyed, asked for its counters. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "lib/core/quarantine.h"
#include "lib/core/wake.h"
#include "lib/util/sized.h"

enum { DEFAULT_TABLE_BYTES = 64 << 20, DEFAULT_DEADLINE_MS = 2000 };

static int alloc_parts(struct viommu *v)
{
	v->by_index = calloc(INDEX_MAX + 1, sizeof(*v->by_index));
	v->memory = calloc(1, sizeof(struct memory));
	v->mirror_memory = v->memory;
	v->sections.slots =
		aligned_alloc(_Alignof(struct section_slot), SECTION_SLOTS_ALL * sizeof(struct section_slot));
	if (!v->by_index || !v->memory || !v->sections.slots)
		return -1;
	for (unsigned i = 0; i < SECTION_SLOTS_ALL; i++)
		v->sections.slots[i] = (struct section_slot){.v = v};
	return viommu__domain_create_identity(v, 0, &v->bypass);
}

static void free_parts(struct viommu *v) NO_OTHER_THREAD
{
	/* Those that could not be removed, because something never let go. */
	for (size_t i = 0; i < v->endpoint_count; i++)
		free(v->endpoints[i]);
	free(v->endpoints);
	free(v->sections.slots);
	memory_free(v->memory);
	free(v->by_index);
	lock_fini(&v->faults.lock);
	lock_fini(&v->wake_lock);
	lock_fini(&v->quarantine_lock);
	lock_fini(&v->lock);
	free(v);
}

int viommu_create(const struct viommu_config *config, struct viommu **out)
{
	struct viommu *v = lines_alloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	const int err = config ? sized_take(&v->config, sizeof(v->config), config) : 0;

	if (err) {
		free(v);
		return err;
	}
	if (!v->config.domain_table_bytes)
		v->config.domain_table_bytes = DEFAULT_TABLE_BYTES;
	if (!v->config.deadline_ms)
		v->config.deadline_ms = DEFAULT_DEADLINE_MS;
	lock_init(&v->lock);
	lock_init(&v->quarantine_lock);
	lock_init(&v->wake_lock);
	lock_init(&v->faults.lock);
	if (alloc_parts(v)) {
		free_parts(v);
		return -ENOMEM;
	}
	wake_init(v);
	*out = v;
	return 0;
}

void viommu_destroy(struct viommu *v)
{
	if (!v)
		return;
	quarantine_drop(v);
	viommu__domains_free(v);
	free_parts(v);
}

int viommu_stats_get(struct viommu *v, struct viommu_stats *out)
{
	struct viommu_stats now;
	quarantine_poll(v);
	lock_take(&v->lock);
	now = (struct viommu_stats){
		.maps = v->gone_maps,
		.unmaps = v->gone_unmaps,
		.walks = section_walks(&v->sections),
		.invalidations = v->gone_invalidations,
		.waited = v->gone_waited,
		.events_dropped = atomic_load_explicit(&v->events_dropped, memory_order_relaxed),
		.quarantined = atomic_load_explicit(&v->quarantined, memory_order_relaxed),
	};
	for (const struct viommu_inval *inval = v->invals; inval; inval = inval->next) {
		now.invalidations += atomic_load_explicit(&inval->completed, memory_order_relaxed);
		now.waited += atomic_load_explicit(&inval->waited, memory_order_relaxed);
	}
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next) {
		spin_take(&domain->lock);
		now.maps += domain->maps;
		now.unmaps += domain->unmaps;
		now.table_bytes += domain->table.bytes;
		spin_drop(&domain->lock);
	}
	lock_drop(&v->lock);
	lock_take(&v->faults.lock);
	now.faults = v->faults.total;
	now.faults_unlogged = v->faults.unlogged;
	lock_drop(&v->faults.lock);
	return sized_give(out, &now, sizeof(now));
}

void viommu__count_dropped_events(struct viommu *v, unsigned count)
{
	atomic_fetch_add_explicit(&v->events_dropped, count, memory_order_relaxed);
}
