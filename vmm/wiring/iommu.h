/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the library meets the machine: guest memory is told to it, each PCI function gets its endpoint, and the IOMMU
 * model (model.h) its place. Made before the devices are on the bus, destroyed after them.
 */
#ifndef VMM_WIRING_IOMMU_H
#define VMM_WIRING_IOMMU_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/acpi/acpi.h"
#include "vmm/config/config.h"
#include "vmm/pci/pci.h"

struct iommu_wiring;
struct loop;
struct progress;
struct ram;
struct registered;
struct kvm;
struct registry;
struct request_stats;
struct viommu;
struct viommu_fault;
struct viommu_vtd_stats;
struct virtio_env;

/* Linux waits for a VT-d command for ten seconds, and longer for everything else. */
enum { IOMMU_SLOT = 1, IOMMU_DEADLINE_MS = 5000 };

/* What of the machine is there before the wiring. */
struct iommu_machine {
	struct kvm *kvm; /* NULL: there is none, and so no memory of a model's own */
	const struct ram *ram;
	struct loop *loop;
	struct bus *mmio;
	struct irqchip *irqchip;
	struct registry *registry;
	struct progress *progress; /* the context signals it; what is pending in the model is polled by it */
	/* Told of every fault, on any thread; may be NULL. */
	void (*fault)(void *opaque, const struct viommu_fault *fault);
	void *opaque;
	bool others;              /* there will be a device that is not behind the IOMMU */
	struct pci_limits limits; /* of all that is to stand behind the IOMMU */
	unsigned most_ranges;     /* of a single one */
};

int iommu_wiring_create(const struct iommu_config *config, const struct iommu_machine *machine,
			struct iommu_wiring **out);

/* The devices are destroyed; what the registry has of them is not. */
void iommu_wiring_destroy(struct iommu_wiring *wiring);

/* Where the model has a PCI function of its own: put it on the root bus, at IOMMU_SLOT. Once, before the guest runs. */
int iommu_wiring_add_unit(struct iommu_wiring *wiring, const struct virtio_env *env, struct pci_bus *bus);

/*
 * Give a device its endpoint, behind the IOMMU or past it, put it on a bus and register it. The device is the caller's
 * again on an error.
 */
int iommu_wiring_add_device(struct iommu_wiring *wiring, struct pci_bus *bus, unsigned devfn, struct pci_dev *dev,
			    bool behind, const struct device_config *config);

/*
 * The reverse, and destroy the device. Loop thread, outside of sections and of the device's callbacks. -EAGAIN: its DMA
 * is not over, call again soon (it is off the bus already); or as the model's release says.
 */
int iommu_wiring_remove_device(struct iommu_wiring *wiring, struct registered *entry);

/*
 * The guest runs between these two: where devices are behind the IOMMU and no driver of the guest takes it, the
 * operator is told once. Loop thread, while the loop does not run. Errors: as waiting_create().
 */
int iommu_wiring_guest_begins(struct iommu_wiring *wiring);
void iommu_wiring_guest_ends(struct iommu_wiring *wiring);

/*
 * What the tables say of the model and of what stands behind it; the endpoints are the wiring's, until the next call.
 * -ENOMEM.
 */
int iommu_wiring_acpi(struct iommu_wiring *wiring, struct acpi_config *acpi);

/* True: this model's driver tells of each map. */
bool iommu_tells_maps(enum iommu_kind kind);

/* The library's context, to ask for its counters. */
struct viommu *iommu_wiring_context(const struct iommu_wiring *wiring);

/* A vCPU is about to enter the guest, after an exit. Its thread, no lock held. */
void iommu_wiring_entering(struct iommu_wiring *wiring);

/* What came by the IOMMU's queue. false: it has none. Loop thread. */
bool iommu_wiring_requests(struct iommu_wiring *wiring, struct request_stats *out);

/* Counters of the VT-d units. false: there are none. */
bool iommu_wiring_vtd_stats(struct iommu_wiring *wiring, struct viommu_vtd_stats *out);

#endif
