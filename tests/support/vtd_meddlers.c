/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vtd_meddlers.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

enum { WORDS = VIOMMU_VTD_SIZE / 4, SELDOM = 64, TAILS = 16, CLEARS = 16 };

struct write {
	unsigned offset;
	uint32_t value;
};

static uint64_t draw(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random >> 8;
}

/* Only some writes are to registers that have the page closed, GCMD and the like, or it would never be open. */
static struct write draw_write(const struct vtd_meddlers *m, uint64_t *random)
{
	static const uint16_t triggers[] = {VTD_GCMD, VTD_GCMD,  VTD_FSTS,     VTD_FECTL,
					    VTD_ICS,  VTD_IECTL, VTD_CCMD + 4, VTD_IOTLB + 4};
	struct write write = {4 * (unsigned)(draw(random) % WORDS), (uint32_t)(draw(random) >> draw(random) % 32)};
	const unsigned choice = (unsigned)draw(random) % SELDOM;

	if (!choice)
		write.offset = triggers[draw(random) % (sizeof(triggers) / sizeof(triggers[0]))];
	else if (choice < TAILS)
		write.offset = VTD_IQT;
	if (m->gentle && write.offset == VTD_IQT)
		write.offset = VTD_IQH;
	if (m->gentle && write.offset == VTD_GCMD)
		write.value = m->d->commands;
	return write;
}

static uint64_t seed(struct vtd_meddlers *m)
{
	return (1 + atomic_fetch_add(&m->next, 1)) * 0x9e3779b97f4a7c15;
}

static void *guest_main(void *opaque)
{
	struct vtd_meddlers *m = opaque;
	uint64_t random = seed(m);

	while (!atomic_load(&m->stop)) {
		const struct write write = draw_write(m, &random);

		vtd_paged_write(&m->p, write.offset, write.value, 4);
		vtd_paged_read(&m->p, write.offset & ~7u, 8);
		sched_yield();
	}
	return NULL;
}

void vtd_meddlers_clear(struct vtd_driver *d)
{
	for (unsigned at = VTD_FRCD; at < VTD_FRCD + 8 * VTD_FRCD_SIZE; at += VTD_FRCD_SIZE)
		viommu_vtd_write(d->unit, at + 12, 1u << 31, 4);
	viommu_vtd_write(d->unit, VTD_FSTS, 0xff, 4);
	viommu_vtd_write(d->unit, VTD_ICS, VTD_ICS_IWC, 4);
	viommu_vtd_write(d->unit, VTD_CCMD + 4, 0, 4);
	viommu_vtd_write(d->unit, VTD_IOTLB + 4, 0, 4);
}

/* Its accesses may find the page open: they have left the guest before. */
static void *trapped_main(void *opaque)
{
	struct vtd_meddlers *m = opaque;
	uint64_t random = seed(m);

	while (!atomic_load(&m->stop)) {
		const struct write write = draw_write(m, &random);

		viommu_vtd_write(m->d->unit, write.offset, write.value, 4);
		viommu_vtd_read(m->d->unit, write.offset & ~7u, 8);
		if (!(draw(&random) % CLEARS))
			vtd_meddlers_clear(m->d);
		sched_yield();
	}
	return NULL;
}

/* What keeps the page closed goes: events, and, where tails and commands are garbage, root and queue begin anew. */
static void make_quiet(const struct vtd_meddlers *m)
{
	const bool scalable = m->d->config.scalable;
	struct viommu_vtd *unit = m->d->unit;

	if (!m->gentle) {
		viommu_vtd_write(unit, VTD_RTADDR, m->d->root | (scalable ? 1 << 10 : 0), 8);
		viommu_vtd_write(unit, VTD_GCMD, VTD_GCMD_TE | VTD_GCMD_SRTP, 4);
		viommu_vtd_write(unit, VTD_IQT, 0, 4);
		viommu_vtd_write(unit, VTD_IQA, m->d->queue | (scalable ? VTD_IQA_DW | 1 : 0), 8);
		viommu_vtd_write(unit, VTD_GCMD, VTD_GCMD_TE | VTD_GCMD_QIE, 4);
	}
	vtd_meddlers_clear(m->d);
}

static void try_to_open(struct vtd_meddlers *m, bool *open)
{
	make_quiet(m);
	*open = !vtd_paged_open(&m->p);
	atomic_fetch_add(*open ? &m->opened : &m->refused, 1);
}

static void look(struct vtd_meddlers *m, bool *open, bool close)
{
	const int found = vtd_paged_look(&m->p);

	*open = found >= 0 && !close && !viommu_vtd_page_waits(m->d->unit);
	if (!*open)
		vtd_paged_close(&m->p);
	if (found > 0)
		atomic_fetch_add(&m->served, 1);
}

static void *monitor_main(void *opaque)
{
	struct vtd_meddlers *m = opaque;
	uint64_t random = seed(m);
	bool open = false;

	while (!atomic_load(&m->stop)) {
		if (open)
			look(m, &open, !(draw(&random) % SELDOM));
		else
			try_to_open(m, &open);
		viommu_vtd_poll(m->d->unit);
		atomic_fetch_add(&m->turns, 1);
		sched_yield();
	}
	return NULL;
}

void vtd_meddlers_start(struct vtd_meddlers *m, struct vtd_driver *d, bool gentle)
{
	*m = (struct vtd_meddlers){.d = d, .gentle = gentle};
	vtd_paged_init(&m->p, d->unit);
	for (unsigned i = 0; i < VTD_MEDDLERS; i++)
		pthread_create(&m->guest[i], NULL, guest_main, m);
	pthread_create(&m->trapped, NULL, trapped_main, m);
	pthread_create(&m->monitor, NULL, monitor_main, m);
}

void vtd_meddlers_stop(struct vtd_meddlers *m)
{
	atomic_store(&m->stop, true);
	for (unsigned i = 0; i < VTD_MEDDLERS; i++)
		pthread_join(m->guest[i], NULL);
	pthread_join(m->trapped, NULL);
	pthread_join(m->monitor, NULL);
	vtd_paged_fini(&m->p);
}
