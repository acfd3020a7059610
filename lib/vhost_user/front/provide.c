/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A translation for the back end: found in a section, and published unless an invalidation comes meanwhile. Its result
 * is one code from here to requests.c, where it becomes an answer.
 */
#include <errno.h>
#include <inttypes.h>

#include "lib/vhost_user/front/iotlb.h"
#include "lib/vhost_user/table/writer.h"

/* A second, that the back end's requests may cause, and looks at rings whether they are needed. */
enum { FAULTS = 256 };

/* What viommu_publish() is to hand on, and what the back end was told. */
struct offer {
	struct front_iotlb *iotlb;
	const struct front_ask *ask;
	struct viommu_extent *told;
};

static int provide_offer(void *opaque, const struct viommu_extent *extent)
{
	const struct offer *offer = opaque;
	const struct front_ask *ask = offer->ask;
	struct viommu_extent *told = offer->told;

	*told = *extent;
	if (told->fd < 0 && ask->needed)
		front_log(offer->iotlb->link, "0x%" PRIx64 " is memory without a descriptor", ask->iova);
	if (told->fd < 0 || !told->access)
		return -EBADF; /* no fault: the back end cannot be told of it */
	if (ask->read_too && told->access & VIOMMU_WRITE)
		told->access |= VIOMMU_READ;
	/* The limit overlaps the extent. */
	if (told->first.value < ask->limit.first) {
		told->gpa.value += ask->limit.first - told->first.value;
		told->first.value = ask->limit.first;
	}
	if (told->last.value > ask->limit.last)
		told->last.value = ask->limit.last;
	return front_iotlb_tell(offer->iotlb, ask, told);
}

/*
 * An access that is not allowed: the guest sees the fault, as of any device. `err`; -EAGAIN: it is allowed by now; or
 * as viommu_dma_begin().
 */
static int provide_report(struct front_iotlb *iotlb, const struct front_ask *ask, int err)
{
	struct viommu_section section;
	struct viommu_span span;
	const int closed = viommu_dma_begin(iotlb->config->endpoint, &section);

	if (closed)
		return closed;
	if (!viommu_dma_translate(&section, (struct viommu_iova){ask->iova}, 1, ask->needed, &span))
		err = -EAGAIN;
	viommu_dma_end(&section);
	return err;
}

/* A back end can ask as often as it likes: so many questions a second make faults, and looks at rings. */
static bool provide_count(struct front_iotlb *iotlb)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != iotlb->fault_second)
		iotlb->faults = 0;
	iotlb->fault_second = now.tv_sec;
	return iotlb->faults++ < FAULTS;
}

/* What was a miss may be over (-ENOENT); else as provide_report(). */
static int provide_refuse(struct front_iotlb *iotlb, const struct front_ask *ask, int err)
{
	const struct viommu_vhu_config *config = iotlb->config;

	if (config->ops->wants && provide_count(iotlb) &&
	    !config->ops->wants(config->opaque, (struct viommu_iova){ask->iova}, ask->needed))
		return -ENOENT;
	return provide_count(iotlb) ? provide_report(iotlb, ask, err) : err;
}

int front_provide(struct front_iotlb *iotlb, const struct front_ask *ask, struct viommu_extent *told)
{
	const struct viommu_iova iova = {ask->iova};
	struct offer offer = {iotlb, ask, told};
	int err = -ENOSPC;

	if (ask->needed && iotlb->shared)
		err = shared_miss(iotlb->shared, iova, ask->needed, false);
	if (err == -ENOSPC)
		err = viommu_publish(iotlb->client, iova, ask->needed, false, provide_offer, &offer);
	if ((err == -EFAULT || err == -EACCES) && ask->needed)
		err = provide_refuse(iotlb, ask, err);
	return err == -EBADF ? -EFAULT : err;
}

void front_blocked(struct front_iotlb *iotlb, const struct front_ask *ask)
{
	if (provide_count(iotlb))
		provide_report(iotlb, ask, 0);
}
