/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a virtio device (virtio 1.2, sections 2.1 and 3.1): vCPUs write the status register, the I/O thread
 * starts and stops the queues. Between both only `started` and `resetting` speak, under pci.lock.
 */
#include "vmm/virtio/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <viommu/event.h>

#include "vmm/util/log.h"
#include "vmm/virtio/internal.h"

#define PLATFORM_FEATURES (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM)
#define RING_FEATURES (1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)

enum { VENDOR_VIRTIO = 0x1af4, DEVICE_BASE = 0x1040, SUBSYSTEM = 0x1100, ISR_QUEUE = 1, ISR_CONFIG = 2 };

uint64_t virtio_offered(struct virtio_dev *dev)
{
	uint64_t reset = dev->ops->queue_reset ? 1ull << VIRTIO_F_RING_RESET : 0;

	return dev->ops->features(dev) | PLATFORM_FEATURES | dev->ring_features | reset;
}

bool virtio_negotiated(const struct virtio_dev *dev, unsigned feature)
{
	return dev->status & VIRTIO_CONFIG_S_FEATURES_OK && dev->driver_features >> feature & 1;
}

void virtio_clear_registers(struct virtio_dev *dev)
{
	dev->driver_features = 0;
	dev->unknown_features = false;
	dev->device_select = dev->driver_select = 0;
	dev->status = dev->isr = 0;
	pci_intx_set_locked(&dev->pci, false);
	dev->queue_select = 0;
	dev->config_vector = VIRTIO_MSI_NO_VECTOR;
	dev->started = dev->resetting = false;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		virtio_clear_queue(dev, i);
}

/*
 * A driver that does not know ACCESS_PLATFORM gives physical addresses (section 6.1): where the guest's IOMMU is in
 * between they are not what the device takes them for. Elsewhere both are the same, and there are drivers without that
 * feature.
 */
static uint64_t needed_features(const struct virtio_dev *dev)
{
	return dev->pci.behind ? PLATFORM_FEATURES : 1ull << VIRTIO_F_VERSION_1;
}

static bool features_acceptable(struct virtio_dev *dev)
{
	const uint64_t features = dev->driver_features, needed = needed_features(dev);

	return !dev->unknown_features && !(features & ~virtio_offered(dev)) && (features & needed) == needed;
}

static void ask_reset(struct virtio_dev *dev)
{
	if (!dev->started) {
		virtio_clear_registers(dev);
		return;
	}
	dev->resetting = true;
	loop_post(dev->loop, &dev->reset_work);
}

/* A driver does not clear single bits (section 2.1.1), so they only add up. */
void virtio_set_status(struct virtio_dev *dev, uint8_t value)
{
	uint8_t added = value & ~dev->status;

	if (!value) {
		ask_reset(dev);
		return;
	}
	added &= VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
		 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED;
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_acceptable(dev))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((dev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	dev->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
		dev->started = true;
		loop_post(dev->loop, &dev->start_work);
	}
}

void virtio_kick(struct virtio_dev *dev, unsigned queue)
{
	if (dev->running && dev->queues[queue].vq.enabled)
		dev->ops->kick(dev, queue);
}

void virtio_start_cb(void *opaque)
{
	struct virtio_dev *dev = opaque;

	mutex_take(&dev->pci.lock);
	dev->running = dev->started && !dev->resetting;
	for (unsigned i = 0; dev->running && i < dev->queue_count; i++)
		virtio_take_queue(dev, i);
	mutex_drop(&dev->pci.lock);
	if (!dev->running)
		return;
	dev->ops->start(dev);
	/* The driver may have filled queues before DRIVER_OK. */
	for (unsigned i = 0; i < dev->queue_count; i++)
		virtio_kick(dev, i);
}

void virtio_reset_cb(void *opaque)
{
	struct virtio_dev *dev = opaque;

	loop_cancel(dev->loop, &dev->start_work);
	loop_cancel(dev->loop, &dev->queue_work);
	dev->running = false;
	dev->ops->reset(dev);
}

void virtio_reset_done(struct virtio_dev *dev)
{
	mutex_take(&dev->pci.lock);
	virtio_clear_registers(dev);
	mutex_drop(&dev->pci.lock);
}

void virtio_kick_cb(void *opaque, uint32_t events)
{
	struct virtio_queue *queue = opaque;
	struct virtio_dev *dev = queue->dev;

	(void)events;
	if (!viommu_event_take(queue->kick_fd))
		virtio_kick(dev, (unsigned)(queue - dev->queues));
}

void virtio_signal_kick(struct virtio_queue *queue)
{
	viommu_event_signal(queue->kick_fd);
}

void virtio_kick_all(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->queue_count; i++)
		virtio_signal_kick(&dev->queues[i]);
}

/* Without MSI-X there are the status byte, and the pin while it is not zero (section 4.1.4.5). */
static void interrupt_locked(struct virtio_dev *dev, uint16_t vector, uint8_t isr)
{
	if (!pci_msix_enabled(&dev->pci)) {
		dev->isr |= isr;
		pci_intx_set_locked(&dev->pci, true);
	} else if (vector != VIRTIO_MSI_NO_VECTOR) {
		pci_msix_raise_locked(&dev->pci, vector);
	}
}

void virtio_interrupt_queue(struct virtio_dev *dev, unsigned queue)
{
	mutex_take(&dev->pci.lock);
	interrupt_locked(dev, dev->queues[queue].regs.vector, ISR_QUEUE);
	mutex_drop(&dev->pci.lock);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	mutex_take(&dev->pci.lock);
	dev->generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt_locked(dev, dev->config_vector, ISR_CONFIG);
	mutex_drop(&dev->pci.lock);
}

/* Of all devices, and of all guests one after the other. */
static void log_failure(const struct virtio_dev *dev, const char *why)
{
	static struct log_limit limit;

	if (vmm_log_may(&limit))
		vmm_log("%s: %s; the device needs a reset", dev->pci.name, why);
}

void virtio_fail(struct virtio_dev *dev, const char *why)
{
	if (!dev->running)
		return;
	dev->running = false;
	log_failure(dev, why);
	mutex_take(&dev->pci.lock);
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	interrupt_locked(dev, dev->config_vector, ISR_CONFIG);
	mutex_drop(&dev->pci.lock);
	if (dev->ops->failed)
		dev->ops->failed(dev);
}

int virtio_dma_begin(struct virtio_dev *dev, struct viommu_section *section)
{
	int ret = pci_dma_begin(&dev->pci, section);

	/* Too many sections are open now; come back when the others had their turn. */
	if (ret == -EAGAIN)
		virtio_kick_all(dev);
	return ret;
}

static int init_queue(struct virtio_dev *dev, struct virtio_queue *queue)
{
	int ret;

	queue->dev = dev;
	queue->call_fd = -1;
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick_fd < 0)
		return -errno;
	queue->watch = (struct loop_watch){.fd = queue->kick_fd, .ready = virtio_kick_cb, .opaque = queue};
	ret = loop_add(dev->loop, &queue->watch, EPOLLIN);
	if (ret)
		close(queue->kick_fd);
	return ret;
}

static void fini_queues(struct virtio_dev *dev, unsigned count)
{
	while (count-- > 0) {
		virtio_queue_take_back(dev, count);
		loop_remove(dev->loop, &dev->queues[count].watch);
		close(dev->queues[count].kick_fd);
	}
}

static int init_queues(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->queue_count; i++) {
		int ret = init_queue(dev, &dev->queues[i]);

		if (ret) {
			fini_queues(dev, i);
			return ret;
		}
	}
	return 0;
}

int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, uint16_t queues, const struct virtio_env *env)
{
	struct pci_ids ids = {
		.vendor = VENDOR_VIRTIO,
		.device = DEVICE_BASE + ops->device_id,
		.subsystem_vendor = VENDOR_VIRTIO,
		.subsystem = SUBSYSTEM,
		.revision = 1, /* section 4.1.2.1: a modern device */
		.class_code = ops->class_code,
	};
	int ret;

	dev->ops = ops;
	dev->queue_count = queues;
	dev->ring_features = RING_FEATURES;
	dev->kvm = env->kvm;
	dev->loop = env->loop;
	dev->start_work = (struct loop_work){.run = virtio_start_cb, .opaque = dev};
	dev->reset_work = (struct loop_work){.run = virtio_reset_cb, .opaque = dev};
	dev->queue_work = (struct loop_work){.run = virtio_queue_cb, .opaque = dev};
	virtio_clear_registers(dev);
	ret = pci_dev_init(&dev->pci, &virtio_pci_ops, &ids);
	if (ret)
		return ret;
	ret = virtio_pci_setup(dev);
	if (!ret)
		ret = init_queues(dev);
	if (ret)
		pci_dev_fini(&dev->pci);
	return ret;
}

void virtio_fini(struct virtio_dev *dev)
{
	loop_cancel(dev->loop, &dev->start_work);
	loop_cancel(dev->loop, &dev->reset_work);
	loop_cancel(dev->loop, &dev->queue_work);
	fini_queues(dev, dev->queue_count);
	pci_dev_fini(&dev->pci);
}
