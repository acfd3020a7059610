/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtio over PCI (virtio 1.2, section 4.1): where the structures lie in the BAR, and which one an access reaches. */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "vmm/kvm/kvm.h"
#include "vmm/virtio/internal.h"

static struct virtio_dev *virtio_of(struct pci_dev *pci)
{
	return (struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci));
}

static bool within(uint64_t offset, unsigned size, uint64_t first, uint64_t len)
{
	return offset >= first && offset - first < len && size <= len - (offset - first);
}

static uint64_t device_read(struct virtio_dev *dev, uint64_t offset, unsigned size)
{
	uint8_t bytes[8] = {0};
	uint64_t value = 0;

	if (dev->ops->config_read)
		dev->ops->config_read(dev, (uint32_t)offset, bytes, size);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static void device_write(struct virtio_dev *dev, uint64_t offset, uint64_t value, unsigned size)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	if (dev->ops->config_write)
		dev->ops->config_write(dev, (uint32_t)offset, bytes, size);
}

/* Reading the ISR byte clears it and lets go of the pin, section 4.1.4.5. */
static uint64_t isr_read(struct virtio_dev *dev, uint64_t offset)
{
	uint8_t isr = dev->isr;

	if (offset)
		return 0;
	dev->isr = 0;
	pci_intx_set_locked(&dev->pci, false);
	return isr;
}

static uint64_t bar_read(struct pci_dev *pci, unsigned bar, uint64_t offset, unsigned size)
{
	struct virtio_dev *dev = virtio_of(pci);

	(void)bar;
	if (within(offset, size, VIRTIO_COMMON, VIRTIO_COMMON_SIZE))
		return virtio_common_read(dev, offset - VIRTIO_COMMON, size);
	if (within(offset, size, VIRTIO_ISR, VIRTIO_ISR_SIZE))
		return isr_read(dev, offset - VIRTIO_ISR);
	if (within(offset, size, VIRTIO_DEVICE, VIRTIO_DEVICE_SIZE))
		return device_read(dev, offset - VIRTIO_DEVICE, size);
	return 0;
}

static void bar_write(struct pci_dev *pci, unsigned bar, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_dev *dev = virtio_of(pci);
	uint64_t queue = (offset - VIRTIO_NOTIFY) / VIRTIO_NOTIFY_MULTIPLIER;

	(void)bar;
	if (within(offset, size, VIRTIO_COMMON, VIRTIO_COMMON_SIZE))
		virtio_common_write(dev, offset - VIRTIO_COMMON, value, size);
	else if (within(offset, size, VIRTIO_DEVICE, VIRTIO_DEVICE_SIZE))
		device_write(dev, offset - VIRTIO_DEVICE, value, size);
	else if (within(offset, size, VIRTIO_NOTIFY, VIRTIO_NOTIFY_SIZE) && queue < dev->queue_count)
		virtio_queue_signal(dev, (unsigned)queue);
}

static bool doorbell(struct pci_dev *pci, unsigned bar, uint64_t offset)
{
	struct virtio_dev *dev = virtio_of(pci);
	uint64_t queue = (offset - VIRTIO_NOTIFY) / VIRTIO_NOTIFY_MULTIPLIER;

	(void)bar;
	if (!dev->ops->doorbell || !within(offset, 1, VIRTIO_NOTIFY, VIRTIO_NOTIFY_SIZE) || queue >= dev->queue_count)
		return false;
	dev->ops->doorbell(dev, (unsigned)queue);
	return true;
}

/* Where KVM cannot signal the eventfd, the write leaves the kernel and bar_write() does it. */
static void bar_mapped(struct pci_dev *pci, unsigned bar, uint64_t address, bool mapped)
{
	struct virtio_dev *dev = virtio_of(pci);

	(void)bar;
	if (dev->ops->doorbell)
		return;
	for (unsigned i = 0; dev->kvm && i < dev->queue_count; i++) {
		struct virtio_queue *queue = &dev->queues[i];
		uint64_t at = address + VIRTIO_NOTIFY + i * VIRTIO_NOTIFY_MULTIPLIER;

		if (mapped)
			queue->ioeventfd = !kvm_ioeventfd(dev->kvm, at, 0, queue->kick_fd, true);
		else if (queue->ioeventfd)
			kvm_ioeventfd(dev->kvm, at, 0, queue->kick_fd, false);
	}
}

/* The window into the BAR through config space, section 4.1.4.9: which access it describes, if a valid one. */
static bool window_access(const struct virtio_dev *dev, uint32_t *offset, uint32_t *size)
{
	const uint8_t *cap = &dev->pci.config[dev->cfg_capability];

	memcpy(offset, cap + VIRTIO_PCI_CAP_OFFSET, sizeof(*offset));
	memcpy(size, cap + VIRTIO_PCI_CAP_LENGTH, sizeof(*size));
	if (*size != 1 && *size != 2 && *size != 4)
		return false;
	return cap[VIRTIO_PCI_CAP_BAR] == VIRTIO_BAR && !(*offset % *size) && *offset < VIRTIO_BAR_SIZE;
}

static void access_window(struct virtio_dev *dev, bool write)
{
	uint8_t *data = &dev->pci.config[dev->cfg_capability + sizeof(struct virtio_pci_cap)];
	uint32_t offset, size, value = 0;

	if (!window_access(dev, &offset, &size))
		return;
	if (write) {
		memcpy(&value, data, size);
		pci_bar_write(&dev->pci, VIRTIO_BAR, offset, value, size);
	} else {
		value = (uint32_t)pci_bar_read(&dev->pci, VIRTIO_BAR, offset, size);
		memcpy(data, &value, size);
	}
}

static void config_access(struct pci_dev *pci, unsigned offset, unsigned size, bool write)
{
	struct virtio_dev *dev = virtio_of(pci);
	unsigned data = dev->cfg_capability + sizeof(struct virtio_pci_cap);

	if (offset < data + 4 && offset + size > data)
		access_window(dev, write);
	/* Kicks that came while bus mastering was off were not served. */
	if (write && offset <= PCI_COMMAND && offset + size > PCI_COMMAND && dev->started && pci_bus_master(pci))
		virtio_kick_all(dev);
}

static void virtio_pci_destroy(struct pci_dev *pci)
{
	struct virtio_dev *dev = virtio_of(pci);

	dev->ops->destroy(dev);
}

static unsigned virtio_pci_drain(struct pci_dev *pci, bool cancel)
{
	struct virtio_dev *dev = virtio_of(pci);

	return dev->ops->drain ? dev->ops->drain(dev, cancel) : 0;
}

static int virtio_pci_drain_fd(const struct pci_dev *pci)
{
	const struct virtio_dev *dev =
		(const struct virtio_dev *)((const char *)pci - offsetof(struct virtio_dev, pci));

	return dev->ops->drain_fd ? dev->ops->drain_fd(dev) : -1;
}

static bool virtio_pci_iotlb_stats(struct pci_dev *pci, struct pci_iotlb_stats *out)
{
	struct virtio_dev *dev = virtio_of(pci);

	return dev->ops->iotlb_stats && dev->ops->iotlb_stats(dev, out);
}

static bool virtio_pci_kick_stats(struct pci_dev *pci, struct kick_stats *out)
{
	const struct virtio_dev *dev = virtio_of(pci);

	out->notifications = dev->notifications;
	polling_stats_get(&dev->polling, &out->polling);
	return dev->ops->look;
}

static int virtio_pci_placed(struct pci_dev *pci)
{
	struct virtio_dev *dev = virtio_of(pci);

	return dev->ops->placed ? dev->ops->placed(dev) : 0;
}

static void virtio_pci_ats_enabled(struct pci_dev *pci, bool enabled)
{
	struct virtio_dev *dev = virtio_of(pci);

	if (dev->ops->ats_enabled)
		dev->ops->ats_enabled(dev, enabled);
}

static void virtio_pci_failed(struct pci_dev *dev)
{
	virtio_enter(virtio_of(dev));
	virtio_fail(virtio_of(dev), "it did not let go of memory in time");
	virtio_leave(virtio_of(dev));
}

const struct pci_ops virtio_pci_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.doorbell = doorbell,
	.config_access = config_access,
	.bar_mapped = bar_mapped,
	.placed = virtio_pci_placed,
	.ats_enabled = virtio_pci_ats_enabled,
	.failed = virtio_pci_failed,
	.drain = virtio_pci_drain,
	.drain_fd = virtio_pci_drain_fd,
	.iotlb_stats = virtio_pci_iotlb_stats,
	.kick_stats = virtio_pci_kick_stats,
	.destroy = virtio_pci_destroy,
};

static uint8_t add_structure(struct virtio_dev *dev, uint8_t type, uint32_t offset, uint32_t length, uint8_t more)
{
	struct {
		struct virtio_pci_cap cap;
		uint32_t tail; /* the multiplier of NOTIFY, the data of PCI_CFG */
	} body = {0};

	body.cap.cap_len = (uint8_t)(sizeof(body.cap) + more);
	body.cap.cfg_type = type;
	body.cap.bar = VIRTIO_BAR;
	body.cap.offset = offset;
	body.cap.length = length;
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		body.tail = VIRTIO_NOTIFY_MULTIPLIER;
	return pci_add_capability(&dev->pci, PCI_CAP_ID_VNDR, &body, body.cap.cap_len);
}

int virtio_pci_setup(struct virtio_dev *dev)
{
	struct pci_dev *pci = &dev->pci;
	uint8_t at;
	int ret;

	pci_add_intx(pci);
	pci_add_bar(pci, VIRTIO_BAR, VIRTIO_BAR_SIZE, false, false);
	ret = pci_add_msix(pci, VIRTIO_BAR, VIRTIO_MSIX_TABLE, VIRTIO_MSIX_PBA, dev->queue_count + 1u);
	if (ret)
		return ret;
	add_structure(dev, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_COMMON, VIRTIO_COMMON_SIZE, 0);
	add_structure(dev, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_ISR, VIRTIO_ISR_SIZE, 0);
	add_structure(dev, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_DEVICE, VIRTIO_DEVICE_SIZE, 0);
	add_structure(dev, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_NOTIFY, VIRTIO_NOTIFY_SIZE, sizeof(uint32_t));
	at = add_structure(dev, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, sizeof(uint32_t));
	dev->cfg_capability = at;
	memset(&pci->writable[at + VIRTIO_PCI_CAP_BAR], 0xff, 1);
	memset(&pci->writable[at + VIRTIO_PCI_CAP_OFFSET], 0xff, 12);
	return 0;
}
