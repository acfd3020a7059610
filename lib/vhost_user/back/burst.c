/* SPDX-License-Identifier: BSD-2-Clause */
/* What the device does, on any thread: bursts of work, and what it tells the driver. */
#include "lib/util/sized.h"
#include "lib/vhost_user/back/backend.h"

struct viommu_endpoint *viommu_backend_endpoint(struct viommu_backend *backend)
{
	return backend->endpoint;
}

int viommu_backend_begin(struct viommu_backend *backend, struct viommu_section *section)
{
	int err = viommu_dma_begin(backend->endpoint, section);

	if (err)
		return err;
	err = vbe_shared_enter(&backend->iotlb.shared, section);
	if (err)
		goto err_section;
	err = vbe_dirty_log_enter(&backend->dirty_log, section);
	if (!err)
		return 0;
	vbe_shared_leave(&backend->iotlb.shared, section);
err_section:
	viommu_dma_end(section);
	return err;
}

void viommu_backend_end(struct viommu_backend *backend, struct viommu_section *section)
{
	vbe_dirty_log_leave(&backend->dirty_log, section);
	vbe_shared_leave(&backend->iotlb.shared, section);
	viommu_dma_end(section);
}

void viommu_backend_prefetch(struct viommu_backend *backend, struct viommu_section *section, struct viommu_iova iova,
			     uint64_t len, unsigned access)
{
	vbe_prefetch(&backend->iotlb, section, iova.value, len, access);
}

void viommu_backend_interrupt(struct viommu_backend *backend, unsigned queue)
{
	vbe_queue_interrupt(&backend->queues, queue);
}

void viommu_backend_error(struct viommu_backend *backend, unsigned queue)
{
	vbe_queue_error(&backend->queues, queue);
}

int viommu_backend_stats_get(struct viommu_backend *backend, struct viommu_backend_stats *out)
{
	struct viommu_backend_stats now = {0};
	struct vbe_asking *asking = &backend->iotlb.asking;

	now.invalidates = atomic_load_explicit(&backend->tasks.invalidates, memory_order_relaxed);
	now.refused = atomic_load_explicit(&backend->refused, memory_order_relaxed);
	lock_take(&asking->lock);
	now.misses = asking->misses;
	now.faults = asking->faults;
	now.updates = asking->updates;
	lock_drop(&asking->lock);
	return sized_give(out, &now, sizeof(now));
}
