/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VT-d unit whose driver changes entries of pages, contexts and PASIDs, and invalidates them by the queue, while two
 * devices do DMA on threads of their own (users.h). When the wait descriptor is complete, no device uses what the
 * entries had led to. Legacy mode, or scalable mode with tables of either stage, as the input says.
 */
#include "fuzz/users.h"
#include "fuzz/vtd_world.h"
#include "lib/spec/vtd.h"

enum { PAGE = 4096, STEPS = 60, CONTEXT = 2 * PAGE, TABLES = 3 * PAGE, PASIDS = 11 * PAGE, DATA = 40 * PAGE };
enum { LEVELS_MAX = 4, AW_39 = 1, DID = 2 };

static struct users users;
static bool scalable, first_stage;

static unsigned levels(void)
{
	return first_stage ? 4 : 3;
}

/* As a processor writes: all of it at once. */
static void put(uint64_t gpa, uint64_t word)
{
	__atomic_store_n((uint64_t *)(void *)(world_ram + gpa), word, __ATOMIC_SEQ_CST);
}

/* Of the device, level 0 is the lowest. */
static uint64_t table_at(unsigned index, unsigned level)
{
	return TABLES + (uint64_t)(index * LEVELS_MAX + level) * PAGE;
}

static uint64_t data_at(unsigned index, unsigned page)
{
	return DATA + (uint64_t)(index * USERS_PAGES + page) * PAGE;
}

static void set_page(unsigned index, unsigned page, bool there)
{
	put(table_at(index, 0) + page * 8, there ? data_at(index, page) | 7 : 0);
}

/* The entry that the device alone has: of its context, or of its PASID. */
static void set_device(unsigned index, bool there)
{
	const uint16_t source = world_sources[index];
	const uint64_t top = table_at(index, levels() - 1), did = DID + index;
	const uint64_t pasid = PASIDS + (2 * index + 1ull) * PAGE;

	if (scalable) {
		put(pasid + 8, did);
		put(pasid + 16, first_stage ? top : 0);
		put(pasid, !there ? 0 : first_stage ? 1 << 6 | 1 : top | 2 << 6 | AW_39 << 2 | 1);
		return;
	}
	put(CONTEXT + (source & 0xff) * 16 + 8, did << 8 | AW_39);
	put(CONTEXT + (source & 0xff) * 16, there ? top | 1 : 0);
}

static void lay_tables(void)
{
	put(PAGE, CONTEXT | 1);
	put(PAGE + 8, scalable ? CONTEXT | 1 : 0);
	for (unsigned i = 0; i < WORLD_DEVICES; i++) {
		const uint64_t directory = PASIDS + 2ull * i * PAGE;

		for (unsigned level = 1; level < levels(); level++)
			put(table_at(i, level), table_at(i, level - 1) | 7);
		if (scalable) {
			put(CONTEXT + (world_sources[i] & 0x7f) * 32, directory | 1);
			put(directory, (directory + PAGE) | 1);
		}
		set_device(i, true);
	}
}

/* By the page, the domain, or all. */
static void forget_page(struct vtd_world *w, unsigned index, unsigned page, unsigned way)
{
	const uint64_t did = (uint64_t)(DID + index) << 16, at = (uint64_t)page * PAGE;
	const uint64_t by_all[2] = {VTD_D_IOTLB | 1 << 4, 0}, by_domain[2] = {VTD_D_IOTLB | 2 << 4 | did, 0},
		       by_page[2] = {VTD_D_IOTLB | 3 << 4 | did, at},
		       by_pasid[2] = {VTD_D_PASID_IOTLB | 2 << 4 | did, 0},
		       by_pasid_page[2] = {VTD_D_PASID_IOTLB | 3 << 4 | did, at};
	const uint64_t(*const ways[])[2] = {&by_all, &by_domain, &by_page, &by_pasid, &by_pasid_page};

	world_queue(w, ways[way % (first_stage ? 5 : 3)], 1);
}

/* Pages stay in the tables: the device is given back what they lead to. */
static void renew_device(struct vtd_world *w, unsigned index, bool selective)
{
	const uint64_t did = DID + index, source = world_sources[index];
	const uint64_t of_all[][2] = {{VTD_D_CONTEXT | 1 << 4, 0}, {VTD_D_IOTLB | 1 << 4, 0}};
	const uint64_t of_device[][2] = {{VTD_D_CONTEXT | 3 << 4 | did << 16 | source << 32, 0},
					 {VTD_D_IOTLB | 2 << 4 | did << 16, 0}};
	const uint64_t of_pasids[][2] = {{VTD_D_PASID_CACHE | 3 << 4, 0}, {VTD_D_IOTLB | 1 << 4, 0}};
	const uint64_t of_pasid[][2] = {{VTD_D_PASID_CACHE | 1 << 4 | did << 16, 0},
					{VTD_D_PASID_IOTLB | 2 << 4 | did << 16, 0}};

	set_device(index, false);
	if (scalable)
		world_queue(w, selective && first_stage ? of_pasid : of_pasids, 2);
	else
		world_queue(w, selective ? of_device : of_all, 2);
	for (unsigned page = 0; page < USERS_PAGES; page++)
		set_page(index, page, false);
	users_taken_all(&users.user[index]);
	set_device(index, true);
}

/* The machine takes the device back, and gives it again. */
static void release(struct vtd_world *w, unsigned index)
{
	struct viommu_inval *inval;

	CHECK(!viommu_inval_create(w->v, &inval), "no invalidation");
	CHECK(!viommu_vtd_release(w->unit, w->devices[index], inval), "not released");
	users_wait_for(inval);
	for (unsigned page = 0; page < USERS_PAGES; page++)
		set_page(index, page, false);
	users_taken_all(&users.user[index]);
	CHECK(!viommu_vtd_manage(w->unit, w->devices[index]), "not managed");
}

/* What the driver writes means nothing: no tail, no command. */
static void use_page(struct vtd_world *w, struct tape *tape)
{
	static const uint16_t offsets[] = {VTD_FECTL, VTD_FSTS, VTD_ICS, VTD_IECTL,
					   VTD_IVA,   VTD_IRTA, VTD_IQA, VTD_IQH};
	const uint8_t choice = tape_u8(tape);

	if (choice < 100)
		world_open(w);
	else if (choice < 150)
		world_close(w);
	else
		world_write_unseen(w, offsets[choice % 8], tape_u32(tape), 4);
}

static void step(struct vtd_world *w, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape), index = tape_below(tape, USERS), page = tape_below(tape, USERS_PAGES);
	struct user *user = &users.user[index];

	if (choice >= 248) {
		release(w, index);
	} else if (choice >= 230) {
		renew_device(w, index, choice & 1);
	} else if (choice >= 225) {
		use_page(w, tape);
	} else if (choice >= 210) {
		for (unsigned i = 0; i < USERS_PAGES; i++)
			set_page(index, i, false);
		forget_page(w, index, 0, choice & 1);
		users_taken_all(user);
	} else if (user->given[page]) {
		set_page(index, page, false);
		forget_page(w, index, page, choice);
		users_taken(user, page);
	} else {
		users_give(user, page);
		set_page(index, page, true);
		forget_page(w, index, page, choice);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct vtd_world w;
	uint8_t *const memory[USERS] = {world_ram + data_at(0, 0), world_ram + data_at(1, 0)};
	const uint8_t kind = tape_u8(&tape);

	scalable = kind & 1;
	first_stage = scalable && kind & 2;
	world_create(&w, scalable);
	w.threads = true;
	lay_tables();
	world_write(&w, VTD_RTADDR, PAGE | (scalable ? 1 << 10 : 0), 8);
	world_flush(&w);
	world_write(&w, VTD_GCMD, VTD_GCMD_TE | VTD_GCMD_QIE, 4);
	users_start(&users, &tape, w.devices, memory);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(&w, &tape);
	for (unsigned i = 0; i < USERS; i++)
		renew_device(&w, i, true);
	users_join(&users);
	world_take_faults(&w);
	world_destroy(&w);
	return 0;
}
