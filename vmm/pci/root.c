/* SPDX-License-Identifier: BSD-2-Clause */
/* The root bus: who sits in which slot, and the host bridge in the first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/pci/internal.h"

/* The generic PCI Express host bridge that QEMU's PCI id list assigns (docs/specs/pci-ids.rst). */
static const struct pci_ids bridge_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class_code = 0x060000,
};

/* It has no BAR, and nothing of its own to free. */
static void bridge_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static const struct pci_ops bridge_ops = {.destroy = bridge_destroy};

static int start_root(struct pci_root *root)
{
	int ret = pci_dev_init(&root->bridge, &bridge_ops, &bridge_ids);

	if (ret)
		return ret;
	ret = pci_root_add(root, &root->bridge, 0);
	if (ret)
		goto err_bridge;
	root->ecam = (struct bus_range){
		.first = LAYOUT_ECAM,
		.last = LAYOUT_ECAM + LAYOUT_ECAM_SIZE - 1,
		.ops = &pci_ecam_ops,
		.opaque = root,
	};
	ret = bus_add(root->config.mmio, &root->ecam);
	if (ret)
		goto err_bridge;
	ret = pci_port_io_add(root);
	if (ret)
		goto err_ecam;
	return 0;

err_ecam:
	bus_remove(root->config.mmio, &root->ecam);
err_bridge:
	pci_dev_fini(&root->bridge);
	return ret;
}

int pci_root_create(const struct pci_root_config *config, struct pci_root **out)
{
	struct pci_root *root = calloc(1, sizeof(*root));
	int ret;

	if (!root)
		return -ENOMEM;
	root->config = *config;
	mutex_init(&root->lock);
	mutex_init(&root->intx_lock);
	ret = start_root(root);
	if (ret) {
		mutex_fini(&root->intx_lock);
		mutex_fini(&root->lock);
		free(root);
		return ret;
	}
	*out = root;
	return 0;
}

void pci_root_destroy(struct pci_root *root) NO_OTHER_THREAD
{
	if (!root)
		return;
	pci_port_io_remove(root);
	bus_remove(root->config.mmio, &root->ecam);
	for (unsigned slot = LAYOUT_PCI_SLOTS; slot-- > 0;) {
		struct pci_dev *dev = root->slots[slot];

		if (!dev)
			continue;
		pci_bars_withdraw(dev);
		pci_intx_withdraw(dev);
		dev->ops->destroy(dev);
	}
	mutex_fini(&root->intx_lock);
	mutex_fini(&root->lock);
	free(root);
}

/* Devices stay until pci_root_destroy(), so the pointer outlives the lock. */
static struct pci_dev *device_in(struct pci_root *root, unsigned slot)
{
	if (slot >= LAYOUT_PCI_SLOTS)
		return NULL;
	mutex_take(&root->lock);
	struct pci_dev *dev = root->slots[slot];

	mutex_drop(&root->lock);
	return dev;
}

unsigned pci_root_drain(struct pci_root *root, unsigned slot, bool cancel, const char **name)
{
	struct pci_dev *dev = device_in(root, slot);

	if (!dev || !dev->ops->drain)
		return 0;
	if (name)
		*name = dev->name;
	return dev->ops->drain(dev, cancel);
}

bool pci_root_iotlb_stats(struct pci_root *root, unsigned slot, struct pci_iotlb_stats *out)
{
	struct pci_dev *dev = device_in(root, slot);

	return dev && dev->ops->iotlb_stats && dev->ops->iotlb_stats(dev, out);
}

static int add_locked(struct pci_root *root, struct pci_dev *dev, unsigned slot) REQUIRES(root->lock)
{
	int ret;

	if (root->slots[slot])
		return -EEXIST;
	ret = pci_bars_place(root, dev);
	if (ret)
		return ret;
	dev->root = root;
	dev->devfn = (uint8_t)(slot << 3);
	ret = pci_msi_place(dev);
	if (!ret)
		ret = pci_msix_place(dev);
	if (ret)
		return ret;
	pci_intx_place(dev, slot);
	snprintf(dev->name, sizeof(dev->name), "0000:00:%02x.0", slot);
	root->slots[slot] = dev;
	return 0;
}

int pci_root_add(struct pci_root *root, struct pci_dev *dev, unsigned slot)
{
	int ret;

	if (slot >= LAYOUT_PCI_SLOTS)
		return -EINVAL;
	mutex_take(&root->lock);
	ret = add_locked(root, dev, slot);
	mutex_drop(&root->lock);
	return ret;
}

/* Function 0 of each slot, on bus 0. */
static struct pci_dev *find_function(struct pci_root *root, unsigned bus, unsigned devfn)
{
	return bus || devfn & 7 ? NULL : device_in(root, devfn >> 3);
}

uint64_t pci_root_config_read(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, unsigned size)
{
	struct pci_dev *dev = find_function(root, bus, devfn);

	return dev ? pci_config_read(dev, offset, size) : UINT64_MAX;
}

void pci_root_config_write(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, uint64_t value,
			   unsigned size)
{
	struct pci_dev *dev = find_function(root, bus, devfn);

	if (dev)
		pci_config_write(dev, offset, value, size);
}
