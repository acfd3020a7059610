/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walkers mark a first-stage entry as dirty while the guest keeps replacing it. Each time the entry points to another
 * page, so the page says which entry a walk has used. A write through an entry must be in that entry's dirty bit when
 * the guest takes it away, and an entry that is gone must not come back.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/fmt/vtd_fs.h"
#include "tests/support/test.h"

enum { PAGE = 4096, ENTRIES = 512, LEVELS = 4, WALKERS = 2, PAGES = 20000, FULL_PAGES = 2000000 };
enum { LOOKS = 8, AWAITED = 16 };

struct race {
	_Alignas(PAGE) _Atomic uint64_t table[LEVELS][ENTRIES];
	struct pt_space space;
	unsigned pages;
	_Atomic uint8_t *written; /* by page: a walk was allowed to write there */
	uint8_t *dirty;           /* by page: the entry said so when it was taken away */
	_Atomic bool stop;
	_Atomic uint64_t surprises; /* walks that ended as no entry of this test says */
	uint64_t returned;          /* entries that came back */
};

static struct race race;

static bool find(struct pt_memory *memory, uint64_t gpa)
{
	if (gpa >= sizeof(race.table))
		return false;
	memory->first = 0;
	memory->last = sizeof(race.table) - 1;
	memory->host = (uint8_t *)race.table;
	return true;
}

static void *walker_main(void *opaque)
{
	struct pt_memory memory;
	struct pt_leaf leaf;

	(void)opaque;
	pt_memory_init(&memory, find, NULL);
	while (!atomic_load(&race.stop)) {
		enum pt_end end = vtd_fs_walk(&race.space, &memory, 0, VIOMMU_WRITE, NULL, &leaf);

		if (end != PT_OK && end != PT_NOT_PRESENT)
			atomic_fetch_add(&race.surprises, 1);
		if (end != PT_OK)
			continue;
		atomic_store_explicit(&race.written[leaf.gpa / PAGE], 1, memory_order_relaxed);
	}
	return NULL;
}

static void take_away(unsigned page, uint64_t next)
{
	uint64_t old = atomic_exchange(&race.table[LEVELS - 1][0], next);

	race.dirty[page] = !!(old & VTD_FS_D);
	for (unsigned i = 0; !next && i < LOOKS; i++)
		if (atomic_load(&race.table[LEVELS - 1][0]))
			race.returned++;
}

/*
 * Every third entry is followed by none, the others by the next one at once. Each sixteenth stays until a walker has
 * used it: a walk that is counted late, because its thread was preempted, may have used the one before.
 */
static void guest_main(void)
{
	for (unsigned page = 1; page < race.pages; page++) {
		uint64_t entry = (uint64_t)page * PAGE | VTD_FS_P | VTD_FS_RW | VTD_FS_US;

		if (page % 3 == 1)
			atomic_store(&race.table[LEVELS - 1][0], entry);
		else
			take_away(page - 1, entry);
		while (page % AWAITED == 0 && !atomic_load(&race.written[page]))
			sched_yield();
		if (page % 3 == 0)
			take_away(page, 0);
	}
	take_away(race.pages - 1, 0);
}

static void test_marks_are_neither_lost_nor_late(void **state)
{
	const struct vtd_fs_caps caps = {.host_width = 46};
	pthread_t threads[WALKERS];
	unsigned used = 0;

	(void)state;
	race.pages = getenv("FULL") ? FULL_PAGES : PAGES;
	race.pages -= race.pages % 3 - 2; /* so that the last entry is still there in the end */
	race.written = calloc(race.pages, 1);
	race.dirty = calloc(race.pages, 1);
	assert_true(race.written && race.dirty);
	vtd_fs_init(&race.space, 0, LEVELS, &caps);
	for (uint64_t i = 0; i < LEVELS - 1; i++)
		race.table[i][0] = (i + 1) * PAGE | VTD_FS_P | VTD_FS_RW | VTD_FS_US;
	for (unsigned i = 0; i < WALKERS; i++)
		pthread_create(&threads[i], NULL, walker_main, NULL);
	guest_main();
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < WALKERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(race.returned == 0);
	assert_true(race.surprises == 0);
	for (unsigned page = 1; page < race.pages; page++) {
		assert_int_equal(race.dirty[page], race.written[page]);
		used += race.written[page];
	}
	assert_true(used >= (race.pages - 1) / AWAITED);
	free(race.written);
	free(race.dirty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_marks_are_neither_lost_nor_late)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
