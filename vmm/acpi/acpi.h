/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables of the machine, hardware-reduced, written to LAYOUT_ACPI. */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ram;

/* A PCI function behind the IOMMU. */
struct acpi_endpoint {
	uint16_t bdf;
	uint32_t id;
};

struct acpi_config {
	unsigned vcpus;
	uint64_t pci64;       /* window for 64-bit BARs */
	uint64_t pci64_size;  /* 0: none */
	int virtio_iommu_bdf; /* -1: no VIOT */
	struct acpi_dmar {
		bool present; /* VT-d */
		bool intremap, eim, ats;
		/*
		 * There are functions beside the endpoints: those are named one by one, and with interrupt remapping a
		 * second unit has the rest. Otherwise the one unit has everything.
		 */
		bool others;
	} dmar;
	const struct acpi_endpoint *endpoints; /* what VIOT or DMAR puts behind it */
	size_t endpoint_count;
};

/*
 * Writes RSDP, XSDT, FADT, DSDT, MADT, MCFG and, where asked for, VIOT or DMAR. Gives the RSDP's GPA. -ENOSPC: do not
 * fit.
 */
int acpi_build(struct ram *ram, const struct acpi_config *config, uint64_t *rsdp);

#endif
