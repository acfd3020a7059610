/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults on their way to the event queue, section 5.13.6.9. */
#include <errno.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/le.h"

static void count_dropped(struct viommu_virtio *dev, unsigned count)
{
	viommu__count_dropped_events(dev->v, count);
}

void viommu_virtio_events_drop(struct viommu_virtio *dev)
{
	lock_take(&dev->events.lock);
	count_dropped(dev, dev->events.count);
	dev->events.count = 0;
	lock_drop(&dev->events.lock);
}

void vio_event_sink(void *opaque, const struct viommu_fault *fault)
{
	struct viommu_virtio *dev = opaque;
	struct vio_events *events = &dev->events;

	lock_take(&events->lock);
	if (events->count < VIO_EVENTS)
		events->queue[(events->head + events->count++) % VIO_EVENTS] = *fault;
	else
		count_dropped(dev, 1);
	lock_drop(&events->lock);
	if (dev->event_ready)
		dev->event_ready(dev->opaque);
}

static uint8_t event_reason(enum viommu_fault_reason reason)
{
	switch (reason) {
	case VIOMMU_FAULT_BLOCKED:
		return VIO_FAULT_R_DOMAIN;
	case VIOMMU_FAULT_NOT_MAPPED:
	case VIOMMU_FAULT_PERMISSION:
		return VIO_FAULT_R_MAPPING;
	case VIOMMU_FAULT_NO_MEMORY:
	case VIOMMU_FAULT_NO_ROOM: /* a walked domain's, which this model has none of */
		return VIO_FAULT_R_UNKNOWN;
	}
	return VIO_FAULT_R_UNKNOWN;
}

static void put_event(uint8_t *event, const struct viommu_fault *fault)
{
	uint32_t flags = VIO_FAULT_F_ADDRESS;

	if (fault->access & VIOMMU_READ)
		flags |= VIO_FAULT_F_READ;
	if (fault->access & VIOMMU_WRITE)
		flags |= VIO_FAULT_F_WRITE;
	memset(event, 0, VIO_FAULT_SIZE);
	event[VIO_FAULT_REASON] = event_reason(fault->reason);
	le32_put(event + VIO_FAULT_FLAGS, flags);
	le32_put(event + VIO_FAULT_ENDPOINT, fault->endpoint);
	le64_put(event + VIO_FAULT_ADDRESS, fault->iova.value);
}

int viommu_virtio_event(struct viommu_virtio *dev, void *buffer, size_t len)
{
	struct vio_events *events = &dev->events;
	int err = 0;

	lock_take(&events->lock);
	if (!events->count)
		err = -EAGAIN;
	else if (len < VIO_FAULT_SIZE)
		err = -EMSGSIZE;
	else {
		put_event(buffer, &events->queue[events->head]);
		events->head = (events->head + 1) % VIO_EVENTS;
		events->count--;
	}
	lock_drop(&events->lock);
	return err;
}
