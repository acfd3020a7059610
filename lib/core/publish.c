/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No stale translation is handed on: viommu_publish() notes the client's generation, translates in a section, and hands
 * on under the client's lock (publish_lock()) only if the generation is still the same. An invalidation makes its
 * change first and then, under the lock, raises the generation and tells the client. So what is handed on of the old
 * translation comes before that, or not at all.
 */
#include <errno.h>

#include <viommu/dma.h>

#include "lib/core/client.h"

enum { TRIES = 8 /* while invalidations keep coming */ };

static int translate(struct viommu_endpoint *endpoint, struct viommu_iova iova, unsigned access, bool report,
		     struct viommu_extent *extent)
{
	struct viommu_section section;
	int err = viommu_dma_begin(endpoint, &section);

	if (err)
		return err;
	err = viommu_dma_extent(&section, iova, access, report, extent);
	viommu_dma_end(&section);
	return err;
}

int viommu_publish(struct viommu_client *client, struct viommu_iova iova, unsigned access, bool report,
		   viommu_hand_on hand_on, void *opaque)
{
	struct lock *lock = publish_lock(client);
	struct viommu_extent extent;

	for (unsigned i = 0; i < TRIES; i++) {
		/* Acquire: partner of the release in publish_cut(); what is translated came before it, or is newer. */
		const uint64_t before = atomic_load_explicit(&client->generation, memory_order_acquire);
		int err = translate(client->endpoint, iova, access, report, &extent);

		if (err)
			return err;
		lock_take(lock);
#ifdef VIOMMU_MUTANT_PUBLISH /* wrong on purpose: handed on, whatever was invalidated since */
		const bool valid = true;

		(void)before;
#else
		const bool valid = before == atomic_load_explicit(&client->generation, memory_order_relaxed);
#endif

		if (valid)
			err = hand_on(opaque, &extent);
		lock_drop(lock);
		if (valid)
			return err;
	}
	return -EAGAIN;
}

void viommu_publish_cut(struct viommu_client *client)
{
	struct lock *lock = publish_lock(client);

	lock_take(lock);
	publish_cut_locked(client);
	lock_drop(lock);
}
