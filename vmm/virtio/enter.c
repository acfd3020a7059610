/* SPDX-License-Identifier: BSD-2-Clause */
/* Which thread is at the queues of a device with a doorbell. */
#include "vmm/virtio/virtio.h"

void virtio_enter(struct virtio_dev *dev) NO_OTHER_THREAD
{
	if (!dev->ops->doorbell)
		return;
	atomic_fetch_add_explicit(&dev->entering, 1, memory_order_relaxed);
	mutex_take(&dev->entered);
	atomic_fetch_sub_explicit(&dev->entering, 1, memory_order_relaxed);
}

/* Relaxed: what is seen late only lets the other thread wait for one turn more. The mutex orders all else. */
bool virtio_try_enter(struct virtio_dev *dev) NO_OTHER_THREAD
{
	if (!dev->ops->doorbell)
		return true;
	return !atomic_load_explicit(&dev->entering, memory_order_relaxed) && mutex_try(&dev->entered);
}

void virtio_leave(struct virtio_dev *dev) NO_OTHER_THREAD
{
	if (dev->ops->doorbell)
		mutex_drop(&dev->entered);
}
