/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit whose driver writes anything: registers, invalidation descriptors, tables; legacy mode, or with
 * -DFUZZ_SCALABLE scalable mode. What translates lies in guest memory. After an invalidation of everything an access
 * goes nowhere that a plain walk of the tables does not go; when the tables are gone, none goes anywhere. A device that
 * is paused goes nowhere either.
 */
#include <errno.h>

#include "fuzz/vtd_tables.h"
#include "fuzz/vtd_walk.h"
#include "fuzz/vtd_world.h"
#include "lib/spec/vtd.h"

#ifdef FUZZ_SCALABLE
enum { SCALABLE = 1 };
#else
enum { SCALABLE = 0 };
#endif

enum { PAGE = 4096, STEPS = 500 };

static bool paused[WORLD_DEVICES];

struct access {
	unsigned device;
	struct vtd_walk walk;
	uint64_t iova, len;
};

static struct access draw_access(struct vtd_world *w, struct tape *tape)
{
	const unsigned device = tape_below(tape, WORLD_DEVICES);

	return (struct access){
		.device = device,
		.walk = {world_ram, WORLD_RAM, world_read(w, VTD_RTADDR, 8), world_sources[device], tape_u8(tape) & 1},
		.iova = vtd_draw_iova(tape),
		.len = 1 + tape_u16(tape),
	};
}

/* The unit has just forgotten all that is not so in memory: an access goes where the walk goes, or nowhere. */
static void check_span(const struct access *access, const struct viommu_span *span)
{
	struct vtd_found found;
	uint64_t gpa, last;

	CHECK(access->iova >> 20 != 0xfee, "0x%llx is for interrupts", (unsigned long long)access->iova);
	for (uint64_t i = 0; i < span->len; i += PAGE)
		CHECK(vtd_walk_context(&access->walk, &found) &&
			      vtd_walk_pages(&access->walk, &found, access->iova + i, &gpa, &last) &&
			      (uint64_t)((uint8_t *)span->host - world_ram) + i == gpa,
		      "0x%llx goes elsewhere", (unsigned long long)(access->iova + i));
}

static void use(struct vtd_world *w, const struct access *access, bool strict)
{
	const bool on = world_read(w, VTD_GSTS, 4) & VTD_GCMD_TE;
	struct viommu_span span;

	world_leave(w);
	if (access->len - 1 > UINT64_MAX - access->iova)
		return;
	if (paused[access->device]) {
		CHECK(viommu_dma_begin(w->devices[access->device], &w->section) == -ECANCELED, "it is paused");
		return;
	}
	CHECK(!viommu_dma_begin(w->devices[access->device], &w->section), "no section");
	w->inside = true;

	const int err = viommu_dma_translate(&w->section, (struct viommu_iova){access->iova}, access->len,
					     access->walk.write ? VIOMMU_WRITE : VIOMMU_READ, &span);

	CHECK(!err || err == -EFAULT || err == -EACCES, "error %d", err);
	world_look(w);
	if (err)
		return;
	const uint64_t at = (uint64_t)((uint8_t *)span.host - world_ram);

	CHECK(at < WORLD_RAM && span.len <= WORLD_RAM - at && span.len && span.len <= access->len,
	      "0x%llx leads out of memory", (unsigned long long)access->iova);
	if (on && strict)
		check_span(access, &span);
}

/*
 * The page tables change, and no more than that; an invalidation that names the page, or its domain, or all, is enough.
 */
static void change_pages(struct vtd_world *w, struct tape *tape)
{
	struct access access = draw_access(w, tape);
	struct vtd_found before, after;
	uint64_t place = vtd_draw_place(tape, SCALABLE), gpa;
	const uint64_t entry = vtd_draw_entry(tape);
	const uint8_t kind = tape_u8(tape);
	const bool is_there = vtd_walk_context(&access.walk, &before);
	const uint64_t did = (uint64_t)before.did << 16, pasid = (uint64_t)before.pasid << 32,
		       page = access.iova & ~0xfffull;
	const uint64_t by_all[2] = {VTD_D_IOTLB | 1 << 4, 0}, by_domain[2] = {VTD_D_IOTLB | 2 << 4 | did, 0},
		       by_page[2] = {VTD_D_IOTLB | 3 << 4 | did, page},
		       by_pasid[2] = {VTD_D_PASID_IOTLB | 2 << 4 | did | pasid, 0},
		       by_pasid_page[2] = {VTD_D_PASID_IOTLB | 3 << 4 | did | pasid, page};
	const uint64_t(*const ways[])[2] = {&by_all, &by_domain, &by_page, &by_pasid, &by_pasid_page};

	use(w, &access, true);
	world_leave(w);
	if (is_there && kind & 0x80)
		vtd_walk_pages(&access.walk, &before, access.iova, &gpa, &place);
	world_put(place, entry);
	if (!is_there || !vtd_walk_context(&access.walk, &after) || memcmp(&before, &after, sizeof(before)))
		return;
	world_queue(w, ways[kind % (before.first_stage ? 5 : 3)], 1);
	access.len = 1;
	use(w, &access, true);
}

struct write {
	unsigned offset, size;
	uint64_t value;
};

static struct write draw_write(struct tape *tape)
{
	static const uint16_t offsets[] = {VTD_GCMD, VTD_RTADDR, VTD_CCMD,  VTD_FSTS, VTD_FECTL, VTD_IQT,     VTD_IQA,
					   VTD_IRTA, VTD_IVA,    VTD_IOTLB, VTD_ICS,  VTD_IECTL, VTD_FRCD + 8};
	const uint8_t kind = tape_u8(tape);
	const unsigned offset = kind < 240 ? offsets[kind % 13] : tape_u16(tape), size = kind & 0x10 ? 4 : 8;
	const uint64_t value = tape_u64(tape);

	return (struct write){offset, kind < 240 ? size : tape_u8(tape), value};
}

static void write_register(struct vtd_world *w, struct tape *tape)
{
	const struct write write = draw_write(tape);

	world_write(w, write.offset, write.value, write.size);
	world_read(w, write.offset, write.size);
}

/* The monitor opens the page, looks, or closes it; the driver writes, and nobody looks. */
static void use_page(struct vtd_world *w, struct tape *tape)
{
	struct write write;

	switch (tape_u8(tape) & 3) {
	case 0:
		world_open(w);
		break;
	case 1:
		world_look(w);
		break;
	case 2:
		world_close(w);
		break;
	case 3:
		write = draw_write(tape);
		world_write_unseen(w, write.offset, write.value, write.size);
		break;
	}
}

/* Into the queue that world_flush() has made, at its tail. */
static void queue_descriptor(struct vtd_world *w, struct tape *tape)
{
	const unsigned size = w->scalable ? 32 : 16;
	const uint64_t tail = world_read(w, VTD_IQT, 4) & VTD_IQ_POINTER;
	const uint8_t type = tape_u8(tape);

	for (unsigned i = 0; i < size; i += 8)
		world_put(WORLD_QUEUE + tail + i, tape_u8(tape) & 1 ? tape_u64(tape) : tape_u16(tape));
	if (type < 240)
		world_ram[(WORLD_QUEUE + tail) % WORLD_RAM] = (uint8_t)(1 + type % 8) | (uint8_t)(type & 0x30);
	world_write(w, VTD_IQT, (tail + size) % (w->scalable ? 2 * PAGE : PAGE), 4);
}

static void send_interrupt(struct vtd_world *w, struct tape *tape)
{
	const struct viommu_irq_message in = {0xfee00000 | (tape_u32(tape) & 0xfffff), tape_u32(tape)};
	struct viommu_irq_message out;
	uint32_t index;
	const int err = viommu_vtd_remap(w->unit, world_sources[0], &in, &out, &index, true);

	CHECK(!err || err == -EPERM, "%d", err);
	world_look(w);
}

static void pause_or_resume(struct vtd_world *w, unsigned device)
{
	paused[device] = !paused[device];
	if (paused[device])
		viommu_endpoint_pause(w->devices[device]);
	else
		viommu_endpoint_resume(w->devices[device]);
}

static void step(struct vtd_world *w, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);
	struct access access;

	if (choice < 15) {
		use_page(w, tape);
	} else if (choice < 90) {
		const uint64_t place = vtd_draw_place(tape, w->scalable);

		world_put(place, vtd_draw_entry(tape));
	} else if (choice < 140) {
		access = draw_access(w, tape);
		use(w, &access, false);
	} else if (choice < 165) {
		write_register(w, tape);
	} else if (choice < 190) {
		queue_descriptor(w, tape);
	} else if (choice < 200) {
		vtd_lay_path(tape, w->scalable);
	} else if (choice < 210) {
		send_interrupt(w, tape);
	} else if (choice < 212) {
		pause_or_resume(w, choice & 1);
	} else if (choice < 215) {
		world_leave(w);
		world_close(w);
		viommu_vtd_reset(w->unit);
		viommu_vtd_poll(w->unit);
	} else {
		world_flush(w);
		change_pages(w, tape);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size}, zeroes = {bytes, 0};
	struct vtd_world w;

	world_create(&w, SCALABLE);
	vtd_lay_path(&tape, SCALABLE);
	world_write(&w, VTD_RTADDR, PAGE | SCALABLE << 10, 8);
	world_flush(&w);
	world_write(&w, VTD_GCMD, VTD_GCMD_TE | VTD_GCMD_QIE, 4);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(&w, &tape);
	world_check_registers(&w);
	world_take_faults(&w);
	memset(world_ram, 0, sizeof(world_ram));
	world_flush(&w);
	for (unsigned i = 0; i < WORLD_DEVICES; i++)
		if (paused[i])
			pause_or_resume(&w, i);

	const struct access access = draw_access(&w, &zeroes);

	use(&w, &access, true);
	world_destroy(&w);
	return 0;
}
