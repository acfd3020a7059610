/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit accesses guest memory like a device that bypasses, so the removal of memory waits for its accesses. */
#include <errno.h>
#include <string.h>

#include "lib/model/vtd/unit.h"

static int memory_translate(struct viommu_section *section, uint64_t gpa, size_t len, unsigned access, void **host)
{
	struct viommu_span span;
	int err = viommu_dma_translate(section, (struct viommu_iova){gpa}, len, access, &span);

	if (!err && span.len < len)
		err = -EFAULT;
	*host = span.host;
	return err;
}

int vtd_guest_read(struct viommu_vtd *unit, uint64_t gpa, void *buffer, size_t len)
{
	struct viommu_section section;
	uint64_t word;
	void *host;
	int err = viommu_dma_begin(unit->reader, &section);

	if (err)
		return -EFAULT;
	for (size_t done = 0; !err && done < len; done += sizeof(word)) {
		err = memory_translate(&section, gpa + done, sizeof(word), VIOMMU_READ, &host);
		if (err)
			break;
		/* Acquire: partner of whatever software ordered its stores with before it told us. */
		word = atomic_load_explicit((_Atomic uint64_t *)host, memory_order_acquire);
		memcpy((uint8_t *)buffer + done, &word, sizeof(word));
	}
	viommu_dma_end(&section);
	return err ? -EFAULT : 0;
}

int vtd_guest_store32(struct viommu_vtd *unit, uint64_t gpa, uint32_t value)
{
	struct viommu_section section;
	void *host;
	int err = viommu_dma_begin(unit->reader, &section);

	if (err)
		return -EFAULT;
	err = memory_translate(&section, gpa, sizeof(value), VIOMMU_WRITE, &host);
	/* Release: software that sees it sees everything before. */
	if (!err)
		atomic_store_explicit((_Atomic uint32_t *)host, value, memory_order_release);
	viommu_dma_end(&section);
	return err ? -EFAULT : 0;
}
