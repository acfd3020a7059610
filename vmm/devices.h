/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices from their configuration: opened first, which asks the host for what stands behind them, then placed on a bus
 * with an endpoint. Loop thread, or when the loop does not run; outside of sections and of devices' callbacks.
 */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include "vmm/config/config.h"
#include "vmm/virtio/virtio.h"

struct iommu_wiring;
struct pci_bus;
struct registered;
struct registry;

struct device_factory {
	struct virtio_env env;
	enum iommu_kind iommu;
	/* For placing. */
	struct iommu_wiring *wiring;
	struct registry *registry;
	struct pci_bus *bus;
};

/* Make the device, on no bus yet: it is to be placed, or destroyed by its ops. -errno after a line in the log. */
int device_open(const struct device_factory *factory, const struct device_config *config, struct pci_dev **out);

/* Put it where its configuration says, and register it. It is destroyed on an error. -errno after a line in the log. */
int device_place(const struct device_factory *factory, const struct device_config *config, struct pci_dev *dev);

/* Both. `config` must outlive the device. */
int device_add(const struct device_factory *factory, const struct device_config *config);

/* Take a device away. Errors: as iommu_wiring_remove_device(). */
int device_remove(const struct device_factory *factory, struct registered *entry);

#endif
