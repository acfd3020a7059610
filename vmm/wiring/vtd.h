/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d units in the machine: registers on the memory bus, interrupts, remapping of all messages. One unit serves the
 * devices that stand behind the IOMMU, and where all do, everything. Where a device does not, interrupt remapping needs
 * a second one that remaps no DMA: it has the interrupts of everything else, the IOAPIC's too.
 *
 * That one's CAP.SAGAW is 0, which tells the guest that it cannot translate: a unit that could would have its devices
 * translated by every guest that uses it, whatever the command line says of them. Not all systems put up with it, so it
 * is there only where it must be.
 */
#ifndef VMM_WIRING_VTD_H
#define VMM_WIRING_VTD_H

#include <stdbool.h>
#include <stdint.h>

struct bus;
struct iommu_config;
struct irqchip;
struct loop;
struct viommu;
struct viommu_endpoint;
struct viommu_vtd_stats;
struct vtd_wiring;

struct vtd_machine {
	struct loop *loop;
	struct bus *mmio;
	struct irqchip *irqchip;
	bool others; /* a device will not stand behind the IOMMU */
};

/* Before there are devices. -errno. */
int vtd_wiring_create(const struct iommu_config *config, struct viommu *v, const struct vtd_machine *machine,
		      struct vtd_wiring **out);
/* The devices are gone. NULL is allowed. */
void vtd_wiring_destroy(struct vtd_wiring *wiring);

/* Put an endpoint behind the first unit. Before the guest runs. */
int vtd_wiring_manage(struct vtd_wiring *wiring, struct viommu_endpoint *endpoint);

/* Something that an invalidation may wait for is over. Loop thread. */
void vtd_wiring_progress(struct vtd_wiring *wiring);

/* Has the guest ever switched translation on? Any thread. */
bool vtd_wiring_taken(const struct vtd_wiring *wiring);

/* Of all units together. */
void vtd_wiring_stats(struct vtd_wiring *wiring, struct viommu_vtd_stats *out);

#endif
