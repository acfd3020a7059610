/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A translation for the back end: found in a section, and published unless an invalidation comes meanwhile. Its result
 * is one code from here to requests.c, where it becomes an answer.
 */
#include <errno.h>
#include <inttypes.h>

#include "lib/vhost_user/front/iotlb.h"
#include "lib/vhost_user/table/writer.h"

enum {
	TRIES = 8,    /* translations of one miss at a time, when invalidations keep coming */
	FAULTS = 256, /* a second, that the back end's requests may cause, and looks at rings whether they are needed */
};

/*
 * An access that is not allowed. The guest sees the fault, as of any device: `err`, or -EAGAIN where it is allowed by
 * now; but what was a miss may be over (-ENOENT). Both are bounded, for a back end can ask as often as it likes.
 */
static int provide_refuse(struct front_iotlb *iotlb, struct viommu_section *section, const struct front_ask *ask,
			  bool miss, int err)
{
	const struct viommu_vhu_config *config = iotlb->config;
	const struct viommu_iova iova = {ask->iova};
	struct viommu_span span;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != iotlb->fault_second)
		iotlb->faults = 0;
	iotlb->fault_second = now.tv_sec;
	if (miss && config->wants && iotlb->faults < FAULTS) {
		iotlb->faults++;
		if (!config->wants(config->opaque, iova, ask->needed))
			return -ENOENT;
	}
	if (iotlb->faults >= FAULTS)
		return err;
	iotlb->faults++;
	return viommu_dma_translate(section, iova, 1, ask->needed, &span) ? err : -EAGAIN;
}

static int provide_translate(struct front_iotlb *iotlb, const struct front_ask *ask, bool miss,
			     struct viommu_extent *run)
{
	const struct viommu_vhu_config *config = iotlb->config;
	struct viommu_section section;
	int err = viommu_dma_begin(config->endpoint, &section);

	if (err)
		return err;
	if (config->may_dma && !config->may_dma(config->opaque))
		err = -ECANCELED;
	else
		err = viommu_dma_extent(&section, (struct viommu_iova){ask->iova}, ask->needed, false, run);
	if ((err == -EFAULT || err == -EACCES) && ask->needed)
		err = provide_refuse(iotlb, &section, ask, miss, err);
	viommu_dma_end(&section);
	if (err)
		return err;
	if (run->fd < 0 && ask->needed)
		front_log(iotlb->link, "0x%" PRIx64 " is memory without a descriptor", ask->iova);
	if (run->fd < 0 || !run->access)
		return -EFAULT;
	if (ask->read_too && run->access & VIOMMU_WRITE)
		run->access |= VIOMMU_READ;
	/* The limit overlaps the run. */
	if (run->first.value < ask->limit.first) {
		run->gpa.value += ask->limit.first - run->first.value;
		run->first.value = ask->limit.first;
	}
	if (run->last.value > ask->limit.last)
		run->last.value = ask->limit.last;
	return 0;
}

int front_provide(struct front_iotlb *iotlb, const struct front_ask *ask, struct viommu_extent *run)
{
	int err = -EAGAIN;

	for (unsigned i = 0; i < TRIES && err == -EAGAIN; i++) {
		/*
		 * Acquire: partner of the release in front_iotlb_invalidate(); what is translated is what came before
		 * it, or newer.
		 */
		const uint64_t before = atomic_load_explicit(&iotlb->generation, memory_order_acquire);

		err = provide_translate(iotlb, ask, true, run);
		if (err)
			continue;
		err = -ENOSPC;
		if (ask->needed && iotlb->shared)
			err = shared_miss(iotlb->shared, (struct viommu_iova){ask->iova}, ask->needed, false);
		if (err == -EFAULT || err == -EACCES) {
			err = -EAGAIN; /* it was there a moment ago */
		} else if (err == -ENOSPC) {
			err = front_iotlb_publish(iotlb, ask, run, before);
		}
	}
	return err;
}

void front_blocked(struct front_iotlb *iotlb, const struct front_ask *ask)
{
	struct viommu_extent run;

	provide_translate(iotlb, ask, false, &run);
}
