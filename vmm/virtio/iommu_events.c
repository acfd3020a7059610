/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults on their way to the driver (virtio 1.2, section 5.13.6.9). */
#include <errno.h>

#include "vmm/virtio/iommu.h"

enum { EVENT_BURST = 64 };

/* One event into one buffer. 1; 0: there is no event; -ENOBUFS: no buffer for one; or an error of the ring. */
static int iommu_deliver(struct virtio_iommu *iommu, struct viommu_section *section)
{
	struct vq *vq = &iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq;
	uint8_t event[VIOMMU_VIRTIO_EVENT_SIZE];
	uint32_t written = VIOMMU_VIRTIO_EVENT_SIZE;
	int ret = vq_pop(vq, section, &iommu->chain);

	if (ret <= 0)
		return ret ? ret : -ENOBUFS;
	if (viommu_virtio_event(iommu->model, event, sizeof(event))) {
		vq_unpop(vq);
		return 0;
	}
	if (vq_copy_out(section, &iommu->chain, 0, event, VIOMMU_VIRTIO_EVENT_SIZE))
		written = 0;
	ret = vq_push(vq, section, iommu->chain.head, written);
	return ret ? ret : 1;
}

/* Give what the model has, and drop what the driver has no buffer for: it would be stale when one comes. */
static int deliver_all(struct virtio_iommu *iommu, struct viommu_section *section)
{
	unsigned i = 0;
	int ret = 1;

	while (ret > 0 && i < EVENT_BURST) {
		ret = iommu_deliver(iommu, section);
		i += ret > 0;
	}
	if (i == EVENT_BURST)
		loop_post(iommu->dev.loop, &iommu->events);
	if (ret == -ENOBUFS) {
		viommu_virtio_events_drop(iommu->model);
		ret = 0;
	}
	return ret < 0 ? ret : vq_wants_interrupt(&iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq, section);
}

static void deliver(struct virtio_iommu *iommu)
{
	struct viommu_section section;
	int ret;

	if (!iommu->dev.running || !iommu->dev.queues[VIOMMU_VIRTIO_EVENTQ].vq.enabled ||
	    virtio_dma_begin(&iommu->dev, &section)) {
		viommu_virtio_events_drop(iommu->model);
		return;
	}
	ret = deliver_all(iommu, &section);
	viommu_dma_end(&section);
	if (ret > 0)
		virtio_interrupt_queue(&iommu->dev, VIOMMU_VIRTIO_EVENTQ);
	else if (ret < 0)
		virtio_fail(&iommu->dev, "the event queue is broken");
}

void iommu_events_cb(void *opaque)
{
	struct virtio_iommu *iommu = opaque;

	virtio_enter(&iommu->dev);
	deliver(iommu);
	virtio_leave(&iommu->dev);
}
