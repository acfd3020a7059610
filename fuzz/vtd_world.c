/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/vtd_world.h"

#include <sched.h>

#include "lib/spec/vtd.h"

const uint16_t world_sources[WORLD_DEVICES] = {0x0018, 0x00a1};
_Alignas(4096) uint8_t world_ram[WORLD_RAM];

enum { RECORDS = 8, SWITCHES = 0x80000000 | 1 << 26 | 1 << 25 | 1 << 23, POLLS = 1000, FAR_MS = 60000 };

static void ignore(void *opaque)
{
	(void)opaque;
}

static void interrupt(void *opaque, struct viommu_irq_message message)
{
	const struct vtd_world *w = opaque;

	(void)message;
	CHECK(!w->open, "an interrupt, of which the open page does not show the reason");
}

static void ignore_range(void *opaque, uint32_t first, uint32_t last)
{
	(void)opaque;
	CHECK(first <= last, "entries %u to %u", first, last);
}

void world_create(struct vtd_world *w, bool scalable)
{
	const struct viommu_vtd_config config = {
		.size = sizeof(struct viommu_vtd_config),
		.intremap = true,
		.eim = true,
		.device_iotlb = true,
		.caching_mode = true,
		.scalable = scalable,
		.interrupt = interrupt,
		.irq_invalidate = ignore_range,
		.irq_commit = ignore,
		.pending = ignore,
		.opaque = w,
	};

	*w = (struct vtd_world){.scalable = scalable};
	memset(world_ram, 0, sizeof(world_ram));
	const struct viommu_config core = {.size = sizeof(core), .deadline_ms = FAR_MS};

	CHECK(!viommu_create(&core, &w->v), "no context");
	CHECK(!viommu_mem_add(w->v, (struct viommu_gpa){0}, WORLD_RAM, world_ram, -1, 0), "no memory");
	CHECK(!viommu_vtd_create(w->v, &config, &w->unit), "no unit");
	for (unsigned i = 0; i < WORLD_DEVICES; i++) {
		CHECK(!viommu_endpoint_add(w->v, world_sources[i], "device", &w->devices[i]), "no endpoint");
		CHECK(!viommu_vtd_manage(w->unit, w->devices[i]), "not managed");
	}
	w->ver = viommu_vtd_read(w->unit, VTD_VER, 4);
	w->cap = viommu_vtd_read(w->unit, VTD_CAP, 8);
	w->ecap = viommu_vtd_read(w->unit, VTD_ECAP, 8);
}

void world_destroy(struct vtd_world *w)
{
	world_leave(w);
	world_close(w);
	viommu_vtd_destroy(w->unit);
	for (unsigned i = 0; i < WORLD_DEVICES; i++)
		CHECK(!viommu_endpoint_remove(w->devices[i]), "busy");
	viommu_destroy(w->v);
}

void world_leave(struct vtd_world *w)
{
	if (w->inside)
		viommu_dma_end(&w->section);
	w->inside = false;
}

void world_put(uint64_t gpa, uint64_t word)
{
	memcpy(world_ram + gpa % WORLD_RAM, &word, sizeof(word));
}

static uint32_t status(struct vtd_world *w)
{
	return (uint32_t)world_read(w, VTD_GSTS, 4);
}

static void poll_idle(struct vtd_world *w)
{
	unsigned polls = 0;

	while (viommu_vtd_poll(w->unit)) {
		if (w->threads)
			sched_yield();
		else
			CHECK(++polls < POLLS, "nobody is inside, and something is pending");
	}
	world_look(w);
}

/* One switch changes, or a one-shot is done. */
static void command(struct vtd_world *w, uint32_t set, uint32_t clear)
{
	world_write(w, VTD_GCMD, ((status(w) & SWITCHES) | set) & ~clear, 4);
	poll_idle(w);
	CHECK((status(w) & set) == set && !(status(w) & clear), "0x%x", status(w));
}

static uint64_t push(struct vtd_world *w, uint64_t tail, uint64_t low, uint64_t high)
{
	const unsigned size = w->scalable ? 32 : 16;

	memset(world_ram + WORLD_QUEUE + tail, 0, size);
	world_put(WORLD_QUEUE + tail, low);
	world_put(WORLD_QUEUE + tail + 8, high);
	return (tail + size) % (w->scalable ? 8192 : 4096);
}

void world_queue(struct vtd_world *w, const uint64_t (*descriptors)[2], unsigned count)
{
	uint64_t tail = world_read(w, VTD_IQT, 4);

	for (unsigned i = 0; i < count; i++)
		tail = push(w, tail, descriptors[i][0], descriptors[i][1]);
	tail = push(w, tail, VTD_D_WAIT | VTD_WAIT_SW | 2ull << 32, WORLD_STATUS);
	world_put(WORLD_STATUS, 0);
	world_write(w, VTD_IQT, tail, 4);
	poll_idle(w);
	CHECK(world_ram[WORLD_STATUS] == 2, "the wait is not complete: FSTS 0x%x",
	      (unsigned)world_read(w, VTD_FSTS, 4));
}

void world_flush(struct vtd_world *w)
{
	static const uint64_t all[][2] = {
		{VTD_D_CONTEXT | 1 << 4, 0}, {VTD_D_IOTLB | 1 << 4, 0}, {VTD_D_PASID_CACHE | 3 << 4, 0}};

	world_leave(w);
	poll_idle(w);
	world_write(w, VTD_FSTS, VTD_FSTS_IQE | VTD_FSTS_ITE | VTD_FSTS_ICE, 4);
	poll_idle(w);
	command(w, 0, (uint32_t)VTD_GCMD_QIE);
	world_write(w, VTD_FSTS, VTD_FSTS_IQE | VTD_FSTS_ITE | VTD_FSTS_ICE, 4);
	world_write(w, VTD_IQT, 0, 4);
	world_write(w, VTD_IQA, WORLD_QUEUE | (w->scalable ? VTD_IQA_DW | 1 : 0), 8);
	command(w, (uint32_t)VTD_GCMD_QIE, 0);
	command(w, (uint32_t)VTD_GCMD_SRTP, 0);
	world_queue(w, all, w->scalable ? 3 : 2);
}

void world_check_registers(struct vtd_world *w)
{
	world_close(w);
	const uint32_t known = (uint32_t)SWITCHES | (uint32_t)(VTD_GCMD_SRTP | VTD_GCMD_SIRTP);

	CHECK(world_read(w, VTD_VER, 4) == w->ver, "VER");
	CHECK(world_read(w, VTD_CAP, 8) == w->cap, "CAP");
	CHECK(world_read(w, VTD_ECAP, 8) == w->ecap, "ECAP");
	CHECK(!(status(w) & ~known), "GSTS 0x%x", status(w));
	CHECK(!(world_read(w, VTD_FSTS, 4) & ~0xfffull), "FSTS");
	CHECK(!(world_read(w, VTD_IQH, 8) & ~VTD_IQ_POINTER), "IQH");
}

static bool reason_exists(unsigned reason)
{
	return (reason >= 0x1 && reason <= 0xe) || (reason >= 0x20 && reason <= 0x26) ||
	       (reason >= 0x30 && reason <= 0x91);
}

void world_take_faults(struct vtd_world *w)
{
	world_close(w);
	for (unsigned at = VTD_FRCD; at < VTD_FRCD + RECORDS * VTD_FRCD_SIZE; at += VTD_FRCD_SIZE) {
		const uint64_t high = world_read(w, at + 8, 8);

		if (!(high & VTD_FRCD_F))
			continue;
		CHECK(reason_exists(high >> VTD_FRCD_REASON_SHIFT & 0xff), "reason in 0x%llx",
		      (unsigned long long)high);
		world_write(w, at + 8, VTD_FRCD_F, 8);
		CHECK(!(world_read(w, at + 8, 8) & VTD_FRCD_F), "the record stays");
	}
}
