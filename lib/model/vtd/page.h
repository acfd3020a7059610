/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of the open page (page.c), for those who pass on software's accesses to it. */
#ifndef LIB_MODEL_VTD_PAGE_H
#define LIB_MODEL_VTD_PAGE_H

#include <endian.h>

#include "lib/model/vtd/unit.h"

static inline _Atomic uint32_t *vtd_page_word(const struct viommu_vtd *unit, uint64_t offset)
{
	return (_Atomic uint32_t *)((uint8_t *)unit->page.host + offset);
}

/* Acquire: what software wrote before. Partner: its store, which on x86 is a release. */
static inline uint32_t vtd_page_load(const struct viommu_vtd *unit, uint64_t offset)
{
	return le32toh(atomic_load_explicit(vtd_page_word(unit, offset), memory_order_acquire));
}

/* Release: partner of software's load: what it may read of memory then. */
static inline void vtd_page_store(struct viommu_vtd *unit, uint64_t offset, uint32_t value)
{
	atomic_store_explicit(vtd_page_word(unit, offset), htole32(value), memory_order_release);
}

/* Is the tail another one than the one that was served last? Then *tail is it. */
static inline bool vtd_page_tail_written(const struct viommu_vtd *unit, uint32_t *tail)
{
	*tail = vtd_page_load(unit, VTD_IQT);
	return *tail != atomic_load_explicit(&unit->page.shown[VTD_PAGE_TAIL], memory_order_relaxed);
}

#endif
