/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, sections 5.2.5 (RSDP) and 5.2.8 (XSDT): the roots of the tables. */
#include "vmm/acpi/acpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/acpi/table.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

enum {
	RSDP_SIZE = 36,
	RSDP_SIZE_V1 = 20,
	RSDP_CHECKSUM = 8,
	RSDP_XSDT = 24,
	RSDP_CHECKSUM_V2 = 32,
	RSDP_REVISION = 2,
	XSDT_REVISION = 1,
	XSDT_MAX = 4,
};

/* The RSDP comes first, where kernels that search find it; the XSDT's address is known only later. */
static void begin_rsdp(struct acpi_buffer *buffer)
{
	acpi_put_bytes(buffer, "RSD PTR ", 8);
	acpi_put(buffer, 0, 1);
	acpi_put_bytes(buffer, "VIOMMU", 6);
	acpi_put(buffer, RSDP_REVISION, 1);
	acpi_put(buffer, 0, 4); /* no RSDT */
	acpi_put(buffer, RSDP_SIZE, 4);
	acpi_put_zeros(buffer, RSDP_SIZE - RSDP_XSDT);
}

static size_t add_xsdt(struct acpi_buffer *buffer, const size_t *tables, size_t count)
{
	const size_t xsdt = acpi_table_begin(buffer, "XSDT", XSDT_REVISION);

	for (size_t i = 0; i < count; i++)
		acpi_put(buffer, LAYOUT_ACPI + tables[i], 8);
	acpi_table_end(buffer, xsdt);
	return xsdt;
}

static void add_all(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	size_t tables[XSDT_MAX], count = 0;

	begin_rsdp(buffer);

	const size_t dsdt = acpi_add_dsdt(buffer, config);

	tables[count++] = acpi_add_fadt(buffer, LAYOUT_ACPI + dsdt);
	tables[count++] = acpi_add_madt(buffer, config);
	tables[count++] = acpi_add_mcfg(buffer);
	if (config->virtio_iommu_bdf >= 0)
		tables[count++] = acpi_add_viot(buffer, config);
	if (config->dmar.present)
		tables[count++] = acpi_add_dmar(buffer, config);
	acpi_set(buffer, RSDP_XSDT, LAYOUT_ACPI + add_xsdt(buffer, tables, count), 8);
	acpi_checksum(buffer, 0, RSDP_SIZE_V1, RSDP_CHECKSUM);
	acpi_checksum(buffer, 0, RSDP_SIZE, RSDP_CHECKSUM_V2);
}

int acpi_build(struct ram *ram, const struct acpi_config *config, uint64_t *rsdp)
{
	struct acpi_buffer buffer = {.size = LAYOUT_ACPI_SIZE};
	void *target = ram_at(ram, LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
	int error = 0;

	if (!target)
		return -ENOSPC;
	buffer.data = calloc(1, buffer.size);
	if (!buffer.data)
		return -ENOMEM;
	add_all(&buffer, config);
	if (buffer.full)
		error = -ENOSPC;
	else
		memcpy(target, buffer.data, buffer.used);
	free(buffer.data);
	*rsdp = LAYOUT_ACPI;
	return error;
}
