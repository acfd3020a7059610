/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/devices.h"

#include <errno.h>
#include <linux/pci.h>
#include <string.h>

#include "vmm/device/device.h"
#include "vmm/pci/bus.h"
#include "vmm/registry/registry.h"
#include "vmm/util/log.h"
#include "vmm/vhost/vhost.h"
#include "vmm/vhost_user/vhost_user.h"
#include "vmm/wiring/iommu.h"

/* Like QEMU's, but each slot has its own. */
static void default_mac(unsigned slot, uint8_t mac[6])
{
	const uint8_t value[6] = {0x52, 0x54, 0x00, 0x76, 0x69, (uint8_t)slot};

	memcpy(mac, value, sizeof(value));
}

static struct vhost_user_config back_end_of(const struct device_factory *factory, const struct device_config *config)
{
	return (struct vhost_user_config){
		.socket = config->socket,
		.iommu = config->iommu,
		.queues = config->queues,
		.isolate = config->isolate,
		.messages = !config->shared,
		.push_maps = iommu_tells_maps(factory->iommu),
	};
}

/* A guest that tells of its maps spares the kernel most of its questions. */
static int open_net(const struct device_factory *factory, const struct device_config *config, struct pci_dev **out)
{
	const struct vhost_user_config back_end = back_end_of(factory, config);
	struct vhost_net_config vhost = {.tap = config->name, .queues = config->queues};

	default_mac(config->slot, vhost.mac);
	if (config->has_mac)
		memcpy(vhost.mac, config->mac, sizeof(vhost.mac));
	if (config->socket)
		return vhost_user_net_create(&factory->env, &back_end, vhost.mac, out);
	if (!config->vhost)
		return virtio_net_create(&factory->env, config->name, config->queues, vhost.mac, out);
	vhost.push_maps = iommu_tells_maps(factory->iommu);
	vhost.polled = vhost_net_polls(factory->env.poll, config->iommu);
	return vhost_net_create(&factory->env, &vhost, out);
}

static int open_disk(const struct device_factory *factory, const struct device_config *config, struct pci_dev **out)
{
	const struct vhost_user_config back_end = back_end_of(factory, config);
	const struct virtio_disk_config disk = {config->name, config->readonly, config->queues};

	return config->socket ? vhost_user_blk_create(&factory->env, &back_end, out)
			      : virtio_blk_create(&factory->env, &disk, out);
}

static int open_kind(const struct device_factory *factory, const struct device_config *config, struct pci_dev **out)
{
	switch (config->kind) {
	case DEVICE_DISK:
		return open_disk(factory, config, out);
	case DEVICE_NET:
		return open_net(factory, config, out);
	case DEVICE_RNG:
		return virtio_rng_create(&factory->env, out);
	case DEVICE_EDU:
		return edu_create(factory->env.loop, out);
	}
	return -EINVAL;
}

int device_open(const struct device_factory *factory, const struct device_config *config, struct pci_dev **out)
{
	struct device_factory its = *factory;

	its.env.poll = config->poll;
	its.env.indirect = config->indirect;
	int err = open_kind(&its, config, out);

	if (!err && config->ats)
		pci_add_ats(*out);
	return err;
}

int device_place(const struct device_factory *factory, const struct device_config *config, struct pci_dev *dev)
{
	const unsigned devfn = PCI_DEVFN(config->slot, 0);
	int err = iommu_wiring_add_device(factory->wiring, factory->bus, devfn, dev, config->iommu, config);

	if (err) {
		vmm_log("device %02x.%x: %s", config->slot, PCI_FUNC(devfn), strerror(-err));
		dev->ops->destroy(dev);
		return err;
	}
	err = dev->ops->placed ? dev->ops->placed(dev) : 0;
	/* One that a model keeps stays where it is, and is destroyed with the machine. */
	if (err)
		device_remove(factory, registry_find(factory->registry, pci_requester_id(factory->bus, devfn)));
	return err;
}

int device_add(const struct device_factory *factory, const struct device_config *config)
{
	struct pci_dev *dev;
	int err = device_open(factory, config, &dev);

	return err ? err : device_place(factory, config, dev);
}

int device_remove(const struct device_factory *factory, struct registered *entry)
{
	return iommu_wiring_remove_device(factory->wiring, entry);
}
