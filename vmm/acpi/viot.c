/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 5.2.34 (VIOT): which PCI functions are behind the virtio-iommu, and by which endpoint ids. */
#include "vmm/acpi/table.h"

enum {
	VIOT_REVISION = 0,
	VIOT_NODES = 48, /* offset of the first */
	VIOT_NODE_COUNT = 36,
	NODE_PCI_RANGE = 1,
	NODE_PCI_RANGE_SIZE = 24,
	NODE_VIRTIO_PCI = 3,
	NODE_VIRTIO_PCI_SIZE = 16,
};

static void begin_node(struct acpi_buffer *buffer, uint8_t type, uint16_t size)
{
	acpi_put(buffer, type, 1);
	acpi_put(buffer, 0, 1);
	acpi_put(buffer, size, 2);
}

static void add_iommu(struct acpi_buffer *buffer, uint16_t bdf)
{
	begin_node(buffer, NODE_VIRTIO_PCI, NODE_VIRTIO_PCI_SIZE);
	acpi_put(buffer, 0, 2); /* segment */
	acpi_put(buffer, bdf, 2);
	acpi_put_zeros(buffer, 8);
}

static void add_range(struct acpi_buffer *buffer, const struct acpi_endpoint *first, const struct acpi_endpoint *last)
{
	begin_node(buffer, NODE_PCI_RANGE, NODE_PCI_RANGE_SIZE);
	acpi_put(buffer, first->id, 4);
	acpi_put(buffer, 0, 2); /* first and last segment */
	acpi_put(buffer, 0, 2);
	acpi_put(buffer, first->bdf, 2);
	acpi_put(buffer, last->bdf, 2);
	acpi_put(buffer, VIOT_NODES, 2); /* the IOMMU's node */
	acpi_put_zeros(buffer, 6);
}

/* Neighbours whose BDFs and ids run on share a node. Returns how many nodes there are. */
static unsigned add_ranges(struct acpi_buffer *buffer, const struct acpi_endpoint *endpoints, size_t count)
{
	unsigned nodes = 0;

	for (size_t first = 0, last; first < count; first = last + 1) {
		for (last = first; last + 1 < count; last++)
			if (endpoints[last + 1].bdf != endpoints[last].bdf + 1 ||
			    endpoints[last + 1].id != endpoints[last].id + 1)
				break;
		add_range(buffer, &endpoints[first], &endpoints[last]);
		nodes++;
	}
	return nodes;
}

size_t acpi_add_viot(struct acpi_buffer *buffer, const struct acpi_config *config)
{
	const size_t viot = acpi_table_begin(buffer, "VIOT", VIOT_REVISION);

	acpi_put(buffer, 0, 2); /* number of nodes */
	acpi_put(buffer, VIOT_NODES, 2);
	acpi_put_zeros(buffer, 8);
	add_iommu(buffer, (uint16_t)config->virtio_iommu_bdf);

	/*
	 * Without a range Linux 6.12 takes every device for the unit's, and dies of it. The unit itself it leaves out.
	 */
	const struct acpi_endpoint unit = {.bdf = (uint16_t)config->virtio_iommu_bdf,
					   .id = (uint32_t)config->virtio_iommu_bdf};
	const unsigned ranges = config->endpoint_count ? add_ranges(buffer, config->endpoints, config->endpoint_count)
						       : add_ranges(buffer, &unit, 1);

	acpi_set(buffer, viot + VIOT_NODE_COUNT, 1 + ranges, 2);
	acpi_table_end(buffer, viot);
	return viot;
}
