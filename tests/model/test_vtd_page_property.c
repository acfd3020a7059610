/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same random driver works with two units. One has its accesses by viommu_vtd_read() and viommu_vtd_write() alone.
 * The other one's register page is opened and closed at random; while it is open some of the accesses go to its memory,
 * and somebody looks after each. Until an event comes the open page shows what the registers of the first unit have;
 * whenever it has been closed all is the same: registers, counters, guest memory, interrupts, and where accesses lead.
 *
 * VIOMMU_TEST_SEED=N runs that seed alone (a failure names it), VIOMMU_TEST_STEPS=N so many steps of each; FULL=1 runs
 * ten times as many seeds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/model/vtd/unit.h"
#include "tests/support/seeds.h"
#include "tests/support/vtd_driver.h"
#include "tests/support/vtd_paged.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEPS = 5000 };
#else
enum { STEPS = 25000 };
#endif

enum {
	SEEDS = 8,
	WORDS = VIOMMU_VTD_SIZE / 4,
	WORDS_IN_USE = VTD_FRCD / 4 + VTD_RECORDS * VTD_FRCD_SIZE / 4,
	PAGES = 8,
	DID = 3,
	AW_48 = 2,
	TURNS = 40, /* of a queue as long as it can be */
	DEADLINE_MS = 3600 * 1000,
};

/* A command of these bits is taken for none (SPEC-COVERAGE.md). */
enum { NO_COMMAND = 0x007fffff };

enum { PLAIN, PAGED, SIDES };

struct tally {
	uint64_t opened, busy, at_random, served, faults, interrupts;
};

struct run {
	uint64_t seed, random, step;
	bool scalable;
	struct vtd_driver *sides[SIDES];
	struct vtd_paged p;
	bool open;
	unsigned interrupts; /* of the unit with the page, when it was opened */
	bool written[WORDS]; /* by software, since the page was opened */
	struct vtd_tables tables[SIDES];
	struct viommu_section sections[SIDES];
	bool inside;
	struct tally *tally;
};

static uint64_t draw(struct run *run)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return run->random;
}

static unsigned below(struct run *run, unsigned limit)
{
	return (unsigned)(draw(run) >> 16) % limit;
}

static bool one_in(struct run *run, unsigned count)
{
	return !below(run, count);
}

static void expect(const struct run *run, bool good, const char *what, uint64_t one, uint64_t other)
{
	if (!good)
		fail_msg("VIOMMU_TEST_SEED=%" PRIu64 ", after %" PRIu64 " steps: %s: 0x%" PRIx64 ", 0x%" PRIx64,
			 run->seed, run->step, what, one, other);
}

static uint32_t in_register(const struct run *run, unsigned side, unsigned offset)
{
	return (uint32_t)viommu_vtd_read(run->sides[side]->unit, offset, 4);
}

static void compare_registers(const struct run *run, unsigned words)
{
	for (unsigned offset = 0; offset < words * 4; offset += 4) {
		const uint32_t plain = in_register(run, PLAIN, offset), paged = in_register(run, PAGED, offset);

		if (plain != paged)
			fail_msg("VIOMMU_TEST_SEED=%" PRIu64 ", after %" PRIu64
				 " steps: register 0x%x is 0x%x, and 0x%x where the page was open",
				 run->seed, run->step, offset, plain, paged);
	}
}

/* Those that cannot be read, too. */
static void compare_units(const struct run *run) NO_OTHER_THREAD
{
	const struct vtd_driver *plain = run->sides[PLAIN], *paged = run->sides[PAGED];
	struct viommu_vtd_stats stats[SIDES] = {{.size = sizeof(stats[0])}, {.size = sizeof(stats[0])}};
	const uint64_t iva = plain->unit->regs[REG_IVA], other = paged->unit->regs[REG_IVA];

	compare_registers(run, WORDS_IN_USE);
	expect(run, iva == other, "IVA", iva, other);
	expect(run, plain->interrupts == paged->interrupts, "interrupts", plain->interrupts, paged->interrupts);
	/* Of the two events none has to be the first. */
	expect(run, plain->sum == paged->sum, "messages", plain->sum, paged->sum);
	viommu_vtd_stats_get(plain->unit, &stats[PLAIN]);
	viommu_vtd_stats_get(paged->unit, &stats[PAGED]);
	expect(run, !memcmp(&stats[PLAIN], &stats[PAGED], sizeof(stats[0])), "counters", 0, 0);
	expect(run, !memcmp(plain->ram, paged->ram, plain->next_page), "guest memory", 0, 0);
}

/* What software writes stays in memory, but for bits that it clears by writing 1: they must not seem to be set. */
static bool comparable(const struct run *run, unsigned offset)
{
	if (offset == VTD_GCMD || offset == VTD_IVA || offset == VTD_IVA + 4)
		return false;
	return offset == VTD_FSTS || offset == VTD_ICS || !run->written[offset / 4];
}

static void compare_open_page(const struct run *run)
{
	for (unsigned offset = 0; offset < WORDS_IN_USE * 4; offset += 4) {
		const uint32_t plain = in_register(run, PLAIN, offset),
			       paged = (uint32_t)vtd_paged_load(&run->p, offset, 4);

		if (comparable(run, offset))
			expect(run, plain == paged, "the open page", offset, paged);
	}
}

/* What is pending goes on as far as it can. */
static void poll_both(struct run *run)
{
	for (unsigned i = 0; i < SIDES; i++)
		for (unsigned turn = 0; turn < TURNS && viommu_vtd_poll(run->sides[i]->unit) == -EAGAIN; turn++)
			if (run->inside && !run->sides[i]->pending)
				break;
}

static void close_page(struct run *run)
{
	expect(run, run->sides[PAGED]->interrupts == run->interrupts, "an interrupt while the page is open", 0, 0);
	vtd_paged_close(&run->p);
	run->open = false;
	poll_both(run);
	compare_units(run);
}

static void look(struct run *run)
{
	int found = 1;

	while (run->open && found > 0) {
		poll_both(run);
		found = vtd_paged_look(&run->p);
		run->tally->served += found > 0;
	}
	if (found == -EBUSY) {
		run->tally->busy++;
		close_page(run);
	} else if (run->open && one_in(run, 8)) {
		compare_open_page(run);
	}
}

static void open_page(struct run *run)
{
	if (vtd_paged_open(&run->p))
		return;
	run->open = true;
	run->interrupts = run->sides[PAGED]->interrupts;
	memset(run->written, 0, sizeof(run->written));
	run->tally->opened++;
	compare_open_page(run);
}

/* In the open page, or by an access that has left the guest. */
static void write_both(struct run *run, unsigned offset, uint64_t value, unsigned size)
{
	viommu_vtd_write(run->sides[PLAIN]->unit, offset, value, size);
	if (run->open && !one_in(run, 4))
		vtd_paged_store(&run->p, offset, value, size);
	else
		viommu_vtd_write(run->sides[PAGED]->unit, offset, value, size);
	run->written[offset / 4] = true;
	if (size == 8)
		run->written[offset / 4 + 1] = true;
	look(run);
	poll_both(run);
}

static void put_both(struct run *run, uint64_t gpa, uint64_t value)
{
	for (unsigned i = 0; i < SIDES; i++)
		vtd_set(run->sides[i], gpa, value);
}

static unsigned draw_offset(struct run *run)
{
	static const uint16_t offsets[] = {
		VTD_GCMD,    VTD_RTADDR, VTD_RTADDR + 4, VTD_CCMD,    VTD_CCMD + 4, VTD_FSTS,     VTD_FECTL,
		VTD_FEDATA,  VTD_FEADDR, VTD_FEUADDR,    VTD_IQT,     VTD_IQA,      VTD_IQA + 4,  VTD_ICS,
		VTD_IECTL,   VTD_IEDATA, VTD_IEADDR,     VTD_IEUADDR, VTD_IRTA,     VTD_IRTA + 4, VTD_IVA,
		VTD_IVA + 4, VTD_IOTLB,  VTD_IOTLB + 4,  VTD_IQH,     VTD_FRCD + 12};

	return one_in(run, 4) ? 4 * below(run, WORDS) : offsets[below(run, sizeof(offsets) / sizeof(offsets[0]))];
}

static uint64_t draw_value(struct run *run)
{
	const uint64_t switches =
		in_register(run, PLAIN, VTD_GSTS) & (VTD_GCMD_TE | VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI);

	switch (below(run, 8)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return switches;
	case 3:
		return switches | (one_in(run, 2) ? VTD_GCMD_SRTP : VTD_GCMD_SIRTP);
	case 4:
		return switches ^ 1ull << (23 + below(run, 9));
	case 5:
		return 1ull << below(run, 64);
	case 6:
		return 16 * below(run, 256);
	default:
		return draw(run);
	}
}

/* Where a command is among it, it is not the one that is taken for none. */
static void access_register(struct run *run)
{
	unsigned offset = draw_offset(run), size = one_in(run, 3) ? 8 : 4;
	uint64_t value = draw_value(run);

	offset &= ~(size - 1);
	if (offset == VTD_GCMD && (uint32_t)value == NO_COMMAND)
		value = 0;
	write_both(run, offset, value, size);
}

/* A descriptor at the tail; there is room, for the queue is never full. */
static uint32_t push(struct run *run, uint32_t tail, uint64_t low, uint64_t high)
{
	const unsigned size = run->scalable ? 32 : 16, end = run->scalable ? 2 * VTD_PAGE_SIZE : VTD_PAGE_SIZE;
	const uint64_t at = run->sides[PLAIN]->queue + tail % end;

	put_both(run, at, low);
	put_both(run, at + 8, high);
	for (unsigned more = 16; more < size; more += 8)
		put_both(run, at + more, 0);
	return (tail + size) % end;
}

static uint32_t push_any(struct run *run, uint32_t tail)
{
	const uint64_t status = run->sides[PLAIN]->status;

	switch (below(run, 8)) {
	case 0:
		return push(run, tail, VTD_D_CONTEXT | (1 + below(run, 3)) << 4 | DID << 16, 0);
	case 1:
		return push(run, tail, VTD_D_IOTLB | (1 + below(run, 2)) << 4 | DID << 16, 0);
	case 2:
		return push(run, tail, VTD_D_IOTLB | 3 << 4 | DID << 16, below(run, PAGES) * VTD_PAGE_SIZE);
	case 3:
		return push(run, tail, VTD_D_IEC, 0);
	case 4:
		return run->scalable ? push(run, tail, VTD_D_PASID_CACHE | 3 << 4 | DID << 16, 0) : tail;
	case 5:
		return one_in(run, 8) ? push(run, tail, VTD_D_WAIT | VTD_WAIT_IF, 0) : tail;
	case 6:
		return one_in(run, 16) ? push(run, tail, draw(run), draw(run)) : tail;
	default:
		return push(run, tail, VTD_D_WAIT | VTD_WAIT_SW | draw(run) << 32, status + 8 * below(run, 16));
	}
}

static void request(struct run *run)
{
	uint32_t tail = in_register(run, PLAIN, VTD_IQT) & ~(run->scalable ? 31u : 15u);

	for (unsigned i = 1 + below(run, 4); i--;)
		tail = push_any(run, tail);
	write_both(run, VTD_IQT, tail, 4);
}

static int translate(struct run *run, unsigned side, unsigned device, struct viommu_iova iova, uint64_t *where)
{
	struct vtd_driver *d = run->sides[side];
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_dma_begin(d->devices[device], &section), 0);
	int err = viommu_dma_translate(&section, iova, 8, VIOMMU_READ, &span);

	*where = err ? 0 : (uint64_t)((uint8_t *)span.host - d->ram);
	viommu_dma_end(&section);
	return err;
}

static void use_device(struct run *run)
{
	const unsigned device = one_in(run, 16) ? 2 : below(run, 2);
	const struct viommu_iova iova = {one_in(run, 16) ? draw(run) >> 20 : below(run, PAGES) * VTD_PAGE_SIZE};
	uint64_t where[SIDES];
	int err[SIDES];

	for (unsigned i = 0; i < SIDES; i++)
		err[i] = translate(run, i, device, iova, &where[i]);
	expect(run, err[PLAIN] == err[PAGED] && where[PLAIN] == where[PAGED], "an access", where[PLAIN], where[PAGED]);
	run->tally->faults += !!err[PLAIN];
	look(run);
}

static void interrupt(struct run *run)
{
	const struct viommu_irq_message in = {0xfee00000 | (draw(run) & 0xffffc), (uint32_t)draw(run)};
	struct viommu_irq_message out;
	uint32_t index;
	int err[SIDES];

	for (unsigned i = 0; i < SIDES; i++)
		err[i] = viommu_vtd_remap(run->sides[i]->unit, VTD_B, &in, &out, &index, true);
	expect(run, err[PLAIN] == err[PAGED], "an interrupt", (uint64_t)err[PLAIN], (uint64_t)err[PAGED]);
	look(run);
}

static void clear_events(struct run *run)
{
	for (unsigned i = 0; i < VTD_RECORDS; i++)
		write_both(run, VTD_FRCD + i * VTD_FRCD_SIZE + 12, 1u << 31, 4);
	write_both(run, VTD_FSTS, 0xff, 4);
	write_both(run, VTD_ICS, VTD_ICS_IWC, 4);
	write_both(run, VTD_FECTL, one_in(run, 4) ? VTD_EVENT_IM : 0, 4);
	write_both(run, VTD_IECTL, one_in(run, 4) ? VTD_EVENT_IM : 0, 4);
}

static void leave(struct run *run)
{
	for (unsigned i = 0; run->inside && i < SIDES; i++)
		viommu_dma_end(&run->sections[i]);
	run->inside = false;
	poll_both(run);
	look(run);
}

static void enter(struct run *run)
{
	if (run->inside)
		return;
	for (unsigned i = 0; i < SIDES; i++)
		assert_int_equal(viommu_dma_begin(run->sides[i]->devices[1], &run->sections[i]), 0);
	run->inside = true;
}

/* From whatever state to one where all works. */
static void start_over(struct run *run)
{
	const struct vtd_driver *d = run->sides[PLAIN];
	const uint32_t on = (uint32_t)VTD_GCMD_QIE;

	leave(run);
	clear_events(run);
	write_both(run, VTD_CCMD, 0, 8);
	write_both(run, VTD_IOTLB, 0, 8);
	write_both(run, VTD_GCMD, 0, 4);
	clear_events(run);
	write_both(run, VTD_IQT, 0, 4);
	write_both(run, VTD_IQA, d->queue | (run->scalable ? VTD_IQA_DW | 1 : 0), 8);
	write_both(run, VTD_GCMD, on, 4);
	write_both(run, VTD_RTADDR, d->root | (run->scalable ? 1 << 10 : 0), 8);
	write_both(run, VTD_GCMD, on | (uint32_t)VTD_GCMD_SRTP, 4);
	write_both(run, VTD_GCMD, on | (uint32_t)VTD_GCMD_TE, 4);
}

static void reset(struct run *run)
{
	if (run->open)
		close_page(run);
	for (unsigned i = 0; i < SIDES; i++)
		viommu_vtd_reset(run->sides[i]->unit);
	poll_both(run);
	start_over(run);
}

static void map(struct run *run, unsigned page, bool there)
{
	const uint64_t rights = run->scalable ? VTD_FS_P | VTD_FS_RW | VTD_FS_US : VTD_SS_R | VTD_SS_W;

	for (unsigned i = 0; i < SIDES; i++)
		vtd_map(run->sides[i], &run->tables[i], page * VTD_PAGE_SIZE,
			there ? (VTD_DATA + page * VTD_PAGE_SIZE) | rights : 0);
}

static void step(struct run *run)
{
	const unsigned choice = below(run, 100);

	if (choice < 28)
		access_register(run);
	else if (choice < 54)
		request(run);
	else if (choice < 73)
		use_device(run);
	else if (choice < 75)
		interrupt(run);
	else if (choice < 80)
		map(run, below(run, PAGES), !one_in(run, 8));
	else if (choice < 83)
		enter(run);
	else if (choice < 86)
		leave(run);
	else if (choice < 91)
		clear_events(run);
	else if (choice < 99)
		start_over(run);
	else
		reset(run);
	poll_both(run);
	look(run);
	if (!run->open && one_in(run, 2))
		open_page(run);
	if (run->open && one_in(run, 20)) {
		run->tally->at_random++;
		close_page(run);
	}
}

/* Devices A and B have the same tables, and C none. */
static void lay_tables(struct run *run, unsigned side)
{
	struct vtd_driver *d = run->sides[side];

	run->tables[side] = run->scalable ? vtd_first_stage(d, 4) : vtd_second_stage(d, 4);
	const uint64_t top = run->tables[side].top;

	for (unsigned i = 0; i < 2; i++) {
		const uint16_t source = i ? VTD_B : VTD_A;

		if (run->scalable)
			vtd_set_pasid(d, source, 0, (uint64_t[]){VTD_PGTT_FIRST << 6 | VTD_ENTRY_P, DID, top});
		else
			vtd_set_context(d, source, top | VTD_ENTRY_P, DID << 8 | AW_48);
	}
}

static struct run *run_create(uint64_t seed, struct tally *tally)
{
	struct run *run = calloc(1, sizeof(*run));
	const struct viommu_vtd_config config = {
		.size = sizeof(struct viommu_vtd_config),
		.intremap = true,
		.eim = seed & 2,
		.device_iotlb = seed & 4,
		.scalable = seed & 1,
	};

	run->seed = seed;
	run->random = seed * 0x9e3779b97f4a7c15;
	run->scalable = config.scalable;
	run->tally = tally;
	for (unsigned i = 0; i < SIDES; i++) {
		run->sides[i] = vtd_driver_create_patient(&config, DEADLINE_MS);
		lay_tables(run, i);
	}
	for (unsigned page = 0; page < PAGES; page++)
		map(run, page, true);
	vtd_paged_init(&run->p, run->sides[PAGED]->unit);
	start_over(run);
	return run;
}

static void run_destroy(struct run *run)
{
	const struct vtd_driver *plain = run->sides[PLAIN], *paged = run->sides[PAGED];

	leave(run);
	if (run->open)
		close_page(run);
	compare_units(run);
	compare_registers(run, WORDS);
	expect(run, !memcmp(plain->ram, paged->ram, VTD_RAM), "all of guest memory", 0, 0);
	run->tally->interrupts += plain->interrupts;
	vtd_paged_fini(&run->p);
	for (unsigned i = 0; i < SIDES; i++)
		vtd_driver_destroy(run->sides[i]);
	free(run);
}

static void run_seed(uint64_t seed, uint64_t steps, struct tally *tally)
{
	struct run *run = run_create(seed, tally);

	for (run->step = 0; run->step < steps; run->step++)
		step(run);
	run_destroy(run);
}

/* A test that never opens the page, or never has to close it, says nothing. */
static void check_tally(const struct tally *tally, uint64_t steps)
{
	assert_true(tally->opened > steps / 20);
	assert_true(tally->busy > steps / 40);
	assert_true(tally->at_random > steps / 100);
	assert_true(tally->served > steps / 40);
	assert_true(tally->faults > steps / 100);
	assert_true(tally->interrupts > steps / 1000);
}

static void test_the_page_does_what_the_registers_do(void **state)
{
	const struct seeds seeds = seeds_wanted(SEEDS, STEPS);
	struct tally tally = {0};

	(void)state;
	for (uint64_t seed = seeds.first; seed <= seeds.last; seed++)
		run_seed(seed, seeds.steps, &tally);
	if (!seeds.alone)
		check_tally(&tally, seeds.last * seeds.steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_page_does_what_the_registers_do)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
