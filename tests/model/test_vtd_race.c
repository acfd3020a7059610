/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices do DMA through tables that the guest changes and invalidates by the queue. Memory carries one pattern while a
 * device may use it, and another as soon as the wait descriptor says that the old translation is gone: a device that
 * sees that one used it too late.
 *
 * Three devices at once: of the first a page's entry is cleared, of the second its context or PASID entry, of the third
 * an entry is turned to other memory. In legacy mode with second-stage tables, and in scalable mode with first-stage
 * ones, whose walks write to them; and both once more while the register page is opened and closed, and other threads
 * write to it what means nothing. The mutant `waiting` breaks the library; then this test must fail.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/vtd_driver.h"
#include "tests/support/vtd_meddlers.h"

enum {
	PAGES = 4,
	SIZE = PAGES * VTD_PAGE_SIZE,
	BYTES = 2048,
	USERS = 2,
	ACTORS = 3,
	DEADLINE_MS = 60000,
	TAKES = 100,
	FULL_TAKES = 10000,
	ARRIVALS = 64,
};
enum { USABLE = 0x5a, GONE = 0xa5, AW_48 = 2, PAGE = 3, DEVICE = 3 };

struct race;

struct actor {
	struct race *race;
	uint16_t source, did;
	uint64_t gpa; /* of its memory; as much again behind it is what its entries may be turned to */
	struct vtd_tables tables;
	bool turned[PAGES];
	/*
	 * Take a page away, whatever that means here, and give it back. Returns the memory that nobody may use in
	 * between.
	 */
	struct viommu_span (*take)(struct actor *actor, unsigned page);
	void (*give)(struct actor *actor, unsigned page);
	pthread_t taker, users[USERS];
	_Atomic uint64_t takes, uses;
};

struct race {
	struct vtd_driver *d;
	bool scalable;
	_Atomic unsigned ticket, served; /* the lock of the guest's driver: fair, so that every taker gets on */
	struct actor actors[ACTORS];
	uint64_t goal;
	_Atomic bool stop;
	_Atomic uint64_t late;
};

static uint64_t page_entry(const struct actor *actor, unsigned page, bool turned)
{
	uint64_t rights = actor->race->scalable ? VTD_FS_P | VTD_FS_RW | VTD_FS_US : VTD_SS_R | VTD_SS_W;

	return (actor->gpa + (turned ? SIZE : 0) + page * VTD_PAGE_SIZE) | rights;
}

static struct viommu_span memory(const struct actor *actor, uint64_t offset, uint64_t len)
{
	return (struct viommu_span){.host = actor->race->d->ram + actor->gpa + offset, .len = len};
}

static void set_entry(struct actor *actor, unsigned page, uint64_t entry)
{
	vtd_map(actor->race->d, &actor->tables, page * VTD_PAGE_SIZE, entry);
}

static void queue_take(struct race *race)
{
	unsigned ticket = atomic_fetch_add(&race->ticket, 1);

	while (atomic_load(&race->served) != ticket)
		sched_yield();
}

static void queue_drop(struct race *race)
{
	atomic_fetch_add(&race->served, 1);
}

static void flush_page(struct actor *actor, unsigned page)
{
	struct race *race = actor->race;

	queue_take(race);
	if (race->scalable)
		vtd_flush_pasid_iotlb(race->d, true, actor->did, 0, page * VTD_PAGE_SIZE, 0);
	else
		vtd_flush_iotlb(race->d, PAGE, actor->did, page * VTD_PAGE_SIZE, 0);
	queue_drop(race);
}

static struct viommu_span clear_page(struct actor *actor, unsigned page)
{
	set_entry(actor, page, 0);
	flush_page(actor, page);
	return memory(actor, page * VTD_PAGE_SIZE, VTD_PAGE_SIZE);
}

static void set_page(struct actor *actor, unsigned page)
{
	set_entry(actor, page, page_entry(actor, page, false));
}

static void set_context(struct actor *actor, unsigned page)
{
	struct vtd_driver *d = actor->race->d;

	(void)page;
	if (actor->race->scalable)
		vtd_set_pasid(d, actor->source, 0,
			      (uint64_t[]){VTD_PGTT_FIRST << 6 | VTD_ENTRY_P, actor->did, actor->tables.top});
	else
		vtd_set_context(d, actor->source, actor->tables.top | VTD_ENTRY_P, (uint64_t)actor->did << 8 | AW_48);
}

static struct viommu_span clear_context(struct actor *actor, unsigned page)
{
	struct race *race = actor->race;
	struct vtd_driver *d = race->d;

	(void)page;
	vtd_set(d, race->scalable ? vtd_pasid_at(d, actor->source, 0) : vtd_context_at(d, actor->source), 0);
	queue_take(race);
	if (race->scalable)
		vtd_flush_pasid_cache(d, VTD_PASID_ONE, actor->did, 0);
	else
		vtd_flush_context(d, DEVICE, actor->did, actor->source, 0);
	queue_drop(race);
	return memory(actor, 0, SIZE);
}

static struct viommu_span turn_page(struct actor *actor, unsigned page)
{
	bool was = actor->turned[page];

	actor->turned[page] = !was;
	set_entry(actor, page, page_entry(actor, page, !was));
	flush_page(actor, page);
	return memory(actor, page * VTD_PAGE_SIZE + (was ? SIZE : 0), VTD_PAGE_SIZE);
}

static void leave_page(struct actor *actor, unsigned page)
{
	(void)actor;
	(void)page;
}

/* What is given is used at least once before it is taken again. */
static void let_use(struct actor *actor)
{
	uint64_t uses = atomic_load(&actor->uses);

	while (atomic_load(&actor->uses) == uses && !atomic_load(&actor->race->stop))
		sched_yield();
}

static void *taker_main(void *opaque)
{
	struct actor *actor = opaque;

	for (unsigned i = 0; !atomic_load(&actor->race->stop); i++) {
		struct viommu_span gone = actor->take(actor, i % PAGES);

		memset(gone.host, GONE, gone.len);
		memset(gone.host, USABLE, gone.len);
		actor->give(actor, i % PAGES);
		let_use(actor);
		atomic_fetch_add(&actor->takes, 1);
	}
	return NULL;
}

static void look(struct actor *actor, const struct viommu_span *span)
{
	for (unsigned i = 0; i < span->len; i++)
		if (((volatile uint8_t *)span->host)[i] != USABLE)
			atomic_fetch_add(&actor->race->late, 1);
	atomic_fetch_add(&actor->uses, 1);
}

/* Use a page inside the section, and every third time go on under a hold when the section is closed. */
static void use(struct actor *actor, struct viommu_endpoint *device, unsigned turn)
{
	struct viommu_iova iova = {turn % PAGES * VTD_PAGE_SIZE};
	unsigned access = turn % 2 ? VIOMMU_READ : VIOMMU_READ | VIOMMU_WRITE;
	struct viommu_section section;
	struct viommu_hold hold = {0};
	struct viommu_span span;
	bool held = turn % 3 == 0;

	if (viommu_dma_begin(device, &section))
		return;
	if (viommu_dma_translate(&section, iova, BYTES, access, &span)) {
		viommu_dma_end(&section);
		sched_yield();
		return;
	}
	look(actor, &span);
	if (held)
		viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	if (held) {
		look(actor, &span);
		viommu_dma_release(&hold);
	}
}

static void *user_main(void *opaque)
{
	struct actor *actor = opaque;
	struct viommu_endpoint *device = vtd_device(actor->race->d, actor->source);

	for (unsigned turn = 0; !atomic_load(&actor->race->stop); turn++)
		use(actor, device, turn);
	return NULL;
}

static void prepare(struct race *race, unsigned index)
{
	static const uint16_t sources[] = {VTD_A, VTD_B, VTD_C};
	struct actor *actor = &race->actors[index];

	actor->race = race;
	actor->source = sources[index];
	actor->did = (uint16_t)(index + 2);
	actor->gpa = VTD_DATA + (uint64_t)index * 2 * SIZE;
	memset(race->d->ram + actor->gpa, USABLE, 2 * SIZE);
	actor->tables = race->scalable ? vtd_first_stage(race->d, 4) : vtd_second_stage(race->d, 4);
	for (unsigned page = 0; page < PAGES; page++)
		set_page(actor, page);
	set_context(actor, 0);
}

static bool enough(const struct race *race)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (race->actors[i].takes < race->goal)
			return race->late;
	return true;
}

static void start(struct actor *actor)
{
	pthread_create(&actor->taker, NULL, taker_main, actor);
	for (unsigned i = 0; i < USERS; i++)
		pthread_create(&actor->users[i], NULL, user_main, actor);
}

static void join(struct actor *actor)
{
	pthread_join(actor->taker, NULL);
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(actor->users[i], NULL);
}

static void ring(void *opaque, uint32_t tail)
{
	vtd_paged_write(opaque, VTD_IQT, tail, 4);
}

static void run(bool scalable, bool paged)
{
	struct vtd_meddlers meddlers;
	struct race race = {
		.scalable = scalable,
		.goal = (getenv("FULL") ? FULL_TAKES : TAKES) / (paged ? 4 : 1),
		.actors = {{.take = clear_page, .give = set_page},
			   {.take = clear_context, .give = set_context},
			   {.take = turn_page, .give = leave_page}},
	};

	race.d = vtd_driver_create_patient(
		&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config), .scalable = scalable},
		DEADLINE_MS);
	for (unsigned i = 0; i < ACTORS; i++)
		prepare(&race, i);
	vtd_start(race.d, scalable ? VTD_TTM_IS_SCALABLE : VTD_TTM_IS_LEGACY);
	if (paged) {
		vtd_meddlers_start(&meddlers, race.d, true);
		race.d->ring = ring;
		race.d->ring_opaque = &meddlers.p;
	}
	for (unsigned i = 0; i < ACTORS; i++)
		start(&race.actors[i]);
	while (!enough(&race) || (paged && !atomic_load(&meddlers.served)))
		sched_yield();
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < ACTORS; i++)
		join(&race.actors[i]);
	if (paged)
		vtd_meddlers_stop(&meddlers);
	assert_int_equal(race.late, 0);
	vtd_driver_destroy(race.d);
}

static void test_nobody_uses_what_the_guest_was_told_is_gone(void **state)
{
	(void)state;
	run(false, false);
}

static void test_the_same_with_tables_that_walks_write_to(void **state)
{
	(void)state;
	run(true, false);
}

static void test_the_same_while_the_register_page_is_open(void **state)
{
	(void)state;
	run(false, true);
	run(true, true);
}

static bool bypasses(const struct race *race, struct viommu_endpoint *device)
{
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_dma_begin(device, &section), 0);
	int err = viommu_dma_translate(&section, (struct viommu_iova){VTD_DATA}, BYTES, VIOMMU_READ, &span);

	viommu_dma_end(&section);
	return !err && span.host == race->d->ram + VTD_DATA;
}

static void *reset_main(void *opaque)
{
	struct race *race = opaque;

	while (!atomic_load(&race->stop)) {
		viommu_vtd_reset(race->d->unit);
		atomic_fetch_add(&race->served, 1);
		sched_yield();
	}
	return NULL;
}

/* A reset goes through the list of the unit's devices: ThreadSanitizer sees whether that changes meanwhile. */
static void test_devices_come_while_another_thread_resets_the_unit(void **state)
{
	struct race race = {
		.d = vtd_driver_create_patient(&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config)},
					       DEADLINE_MS)};
	struct viommu_endpoint *devices[ARRIVALS];
	pthread_t resets;

	(void)state;
	pthread_create(&resets, NULL, reset_main, &race);
	for (unsigned i = 0; i < ARRIVALS; i++) {
		unsigned before = atomic_load(&race.served);

		assert_int_equal(viommu_endpoint_add(race.d->v, VTD_C + 1 + i, "late", &devices[i]), 0);
		assert_int_equal(viommu_vtd_manage(race.d->unit, devices[i]), 0);
		while (atomic_load(&race.served) == before)
			sched_yield();
	}
	atomic_store(&race.stop, true);
	pthread_join(resets, NULL);
	for (unsigned i = 0; i < ARRIVALS; i++)
		assert_true(bypasses(&race, devices[i]));
	viommu_vtd_destroy(race.d->unit);
	race.d->unit = NULL;
	for (unsigned i = 0; i < ARRIVALS; i++)
		assert_int_equal(viommu_endpoint_remove(devices[i]), 0);
	vtd_driver_destroy(race.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_uses_what_the_guest_was_told_is_gone),
		cmocka_unit_test(test_the_same_with_tables_that_walks_write_to),
		cmocka_unit_test(test_the_same_while_the_register_page_is_open),
		cmocka_unit_test(test_devices_come_while_another_thread_resets_the_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
