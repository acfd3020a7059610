/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vtd_paged.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/vtd.h>

void vtd_paged_init(struct vtd_paged *p, struct viommu_vtd *unit)
{
	pthread_rwlockattr_t fair;

	*p = (struct vtd_paged){.unit = unit, .page = aligned_alloc(VIOMMU_VTD_SIZE, VIOMMU_VTD_SIZE)};
	memset(p->page, 0, VIOMMU_VTD_SIZE);
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&p->slot, &fair);
	pthread_rwlockattr_destroy(&fair);
}

void vtd_paged_fini(struct vtd_paged *p)
{
	vtd_paged_close(p);
	pthread_rwlock_destroy(&p->slot);
	free(p->page);
}

uint64_t vtd_paged_load(const struct vtd_paged *p, unsigned offset, unsigned size)
{
	void *at = p->page + offset;

	return size == 8 ? atomic_load((_Atomic uint64_t *)at) : atomic_load((_Atomic uint32_t *)at);
}

void vtd_paged_store(struct vtd_paged *p, unsigned offset, uint64_t value, unsigned size)
{
	void *at = p->page + offset;

	if (size == 8)
		atomic_store((_Atomic uint64_t *)at, value);
	else
		atomic_store((_Atomic uint32_t *)at, (uint32_t)value);
}

uint64_t vtd_paged_read(struct vtd_paged *p, unsigned offset, unsigned size)
{
	pthread_rwlock_rdlock(&p->slot);
	bool shown = p->shown;
	uint64_t value = shown ? vtd_paged_load(p, offset, size) : 0;

	pthread_rwlock_unlock(&p->slot);
	return shown ? value : viommu_vtd_read(p->unit, offset, size);
}

/* An access that has left the guest may be late: the page may be open by now. */
void vtd_paged_write(struct vtd_paged *p, unsigned offset, uint64_t value, unsigned size)
{
	pthread_rwlock_rdlock(&p->slot);
	bool shown = p->shown;

	if (shown)
		vtd_paged_store(p, offset, value, size);
	pthread_rwlock_unlock(&p->slot);
	if (!shown)
		viommu_vtd_write(p->unit, offset, value, size);
}

static void set_shown(struct vtd_paged *p, bool shown)
{
	pthread_rwlock_wrlock(&p->slot);
	p->shown = shown;
	pthread_rwlock_unlock(&p->slot);
}

int vtd_paged_open(struct vtd_paged *p)
{
	int err = viommu_vtd_page_open(p->unit, p->page);

	if (!err)
		set_shown(p, true);
	return err;
}

int vtd_paged_look(struct vtd_paged *p)
{
	return viommu_vtd_page_look(p->unit);
}

void vtd_paged_close(struct vtd_paged *p)
{
	set_shown(p, false);
	viommu_vtd_page_close(p->unit);
}
