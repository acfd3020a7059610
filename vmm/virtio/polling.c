/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queues of a device are polled by the I/O thread: all of them, from when the driver notifies often until nothing
 * has come for a while. Not for a device with a doorbell, whose queues other threads serve as well.
 */
#include "vmm/virtio/internal.h"

static bool polling_begin(void *opaque)
{
	struct virtio_dev *dev = opaque;

	return dev->running && dev->ops->set_polled(dev, true);
}

static bool polling_look(void *opaque)
{
	struct virtio_dev *dev = opaque;

	return dev->ops->look(dev);
}

/* What came since the last look: each queue is served once more, after its driver was asked to notify. */
static bool polling_end(void *opaque)
{
	struct virtio_dev *dev = opaque;

	dev->ops->set_polled(dev, false);
	for (unsigned i = 0; i < dev->queue_count; i++)
		virtio_kick(dev, i);
	return true;
}

static const struct polling_ops device_polling = {.begin = polling_begin, .look = polling_look, .end = polling_end};

void virtio_polling_init(struct virtio_dev *dev, enum polling_mode mode)
{
	polling_init(&dev->polling, dev->loop, dev->ops->look ? mode : POLLING_OFF, &device_polling, dev);
}

void virtio_polling_drop(struct virtio_dev *dev)
{
	if (!dev->ops->look)
		return;
	dev->ops->set_polled(dev, false);
	polling_stop(&dev->polling);
}

void virtio_end_polling(struct virtio_dev *dev)
{
	polling_end(dev);
	polling_stop(&dev->polling);
}
