/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the library meets the machine: guest memory is told to it, each PCI function gets its endpoint, the
 * virtio-iommu model gets its PCI function, and VT-d units their place (vtd.h). Made before the devices, destroyed
 * after them.
 */
#ifndef VMM_WIRING_IOMMU_H
#define VMM_WIRING_IOMMU_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/acpi/acpi.h"
#include "vmm/config/config.h"

struct bus;
struct iommu_wiring;
struct irqchip;
struct loop;
struct pci_dev;
struct pci_root;
struct ram;
struct viommu;
struct viommu_fault;
struct viommu_vtd_stats;
struct virtio_env;

enum { IOMMU_SLOT = 1 };

/* What of the machine is there before the wiring. */
struct iommu_machine {
	const struct ram *ram;
	struct loop *loop;
	struct bus *mmio;
	struct irqchip *irqchip;
	/* Told of every fault, on any thread; may be NULL. */
	void (*fault)(void *opaque, const struct viommu_fault *fault);
	void *opaque;
	bool others; /* there will be a device that is not behind the IOMMU */
};

int iommu_wiring_create(const struct iommu_config *config, const struct iommu_machine *machine,
			struct iommu_wiring **out);
void iommu_wiring_destroy(struct iommu_wiring *wiring);

/* The virtio-iommu's PCI function at IOMMU_SLOT. Only for IOMMU_VIRTIO, once, before the guest runs. */
int iommu_wiring_add_unit(struct iommu_wiring *wiring, const struct virtio_env *env, struct pci_root *root);

/* Put a device on the bus, behind the IOMMU or past it. The device is the caller's again on an error. */
int iommu_wiring_add_device(struct iommu_wiring *wiring, struct pci_root *root, struct pci_dev *dev, unsigned slot,
			    bool behind);

/*
 * The guest runs between these two: where devices are behind the IOMMU and no driver of the guest takes it, the
 * operator is told once. Loop thread, while the loop does not run. Errors: as waiting_create().
 */
int iommu_wiring_guest_begins(struct iommu_wiring *wiring);
void iommu_wiring_guest_ends(struct iommu_wiring *wiring);

/* What stands behind the IOMMU, for the VIOT and DMAR tables; returns how many. */
size_t iommu_wiring_endpoints(const struct iommu_wiring *wiring, const struct acpi_endpoint **out);

/* The library's context, to ask for its counters. */
struct viommu *iommu_wiring_context(const struct iommu_wiring *wiring);

/* Counters of the VT-d units. false: there are none. */
bool iommu_wiring_vtd_stats(struct iommu_wiring *wiring, struct viommu_vtd_stats *out);

/* For struct virtio_env: a hold was released. */
void iommu_wiring_hold_released(void *opaque);

#endif
