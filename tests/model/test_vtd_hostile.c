/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables full of garbage that changes while it is read: whatever comes out lies in guest memory, or is a fault that
 * VT-d knows. The garbage points to other garbage more often than not, so that walks get deep. SEED in the environment
 * repeats a run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/vtd_driver.h"

enum { TABLES = 24, USERS = 2, ROUNDS = 150, ACCESSES = 40 };

struct hostile {
	struct vtd_driver *d;
	uint64_t tables; /* pages of garbage from here on, the root among them */
	uint64_t seed;
	_Atomic bool stop;
	_Atomic uint64_t found, blocked, outside;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly an entry of some kind that is present and points into the garbage; else anything. */
static uint64_t garbage(const struct hostile *h, uint64_t *state)
{
	uint64_t word = next_random(state), table = h->tables + word / 7 % TABLES * VTD_PAGE_SIZE;

	switch (word % 16) {
	case 0:
		return word;
	case 1:
		return VTD_DATA | (next_random(state) & 0xfff);
	case 2:
		return (VTD_RAM - VTD_PAGE_SIZE) | 7;
	case 3:
		return 0xfffffffffffff000ull | 7;
	case 4:
		return VTD_HOLE | 7;
	case 5: /* the second word of a context entry, or of a PASID entry */
		return (next_random(state) & 0xff00) | 2;
	case 6:
		return table | 7 | VTD_PT_PS;
	case 7:
		return 0;
	case 8:
		return table | VTD_PGTT_SECOND << 6 | 2 << 2 | VTD_ENTRY_P;
	default:
		return table | (word >> 8 & 1 ? 7 : VTD_ENTRY_P);
	}
}

static void *scribbler_main(void *opaque)
{
	struct hostile *h = opaque;
	uint64_t state = h->seed;

	while (!atomic_load(&h->stop)) {
		uint64_t at = next_random(&state) % (TABLES * VTD_PAGE_SIZE) & ~7ull;

		vtd_set(h->d, h->tables + at, garbage(h, &state));
	}
	return NULL;
}

static void use(struct hostile *h, struct viommu_endpoint *device, uint64_t iova, unsigned access)
{
	struct viommu_section section;
	struct viommu_span span;

	if (viommu_dma_begin(device, &section))
		return;
	int err = viommu_dma_translate(&section, (struct viommu_iova){iova}, 3 * VTD_PAGE_SIZE, access, &span);

	viommu_dma_end(&section);
	if (err) {
		atomic_fetch_add(&h->blocked, 1);
		return;
	}
	atomic_fetch_add(&h->found, 1);
	uint64_t at = (uint64_t)((uint8_t *)span.host - h->d->ram);

	if (at >= VTD_RAM || span.len > VTD_RAM - at)
		atomic_fetch_add(&h->outside, 1);
}

static void *user_main(void *opaque)
{
	static const uint16_t sources[] = {VTD_A, VTD_B, VTD_C};
	struct hostile *h = opaque;
	uint64_t state = h->seed + 1;

	while (!atomic_load(&h->stop)) {
		uint64_t random = next_random(&state), iova = next_random(&state) >> next_random(&state) % 64;

		use(h, vtd_device(h->d, sources[random % 3]), iova & ~0xfffull,
		    random & 8 ? VIOMMU_READ : VIOMMU_WRITE);
	}
	return NULL;
}

static bool known(unsigned reason)
{
	return (reason >= 0x1 && reason <= 0xe) || (reason >= 0x30 && reason <= 0x91);
}

static void invalidate_all(struct vtd_driver *d)
{
	vtd_flush_context(d, 1, 0, 0, 0);
	for (struct vtd_seen seen = vtd_take_fault(d); seen.reason; seen = vtd_take_fault(d))
		assert_true(known(seen.reason));
}

static void prepare(struct hostile *h, bool scalable)
{
	const char *seed = getenv("SEED");
	uint64_t state;

	h->seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) | 1;
	printf("SEED=%llu\n", (unsigned long long)h->seed);
	state = h->seed;
	h->d = vtd_driver_create_patient(&(struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config),
								     .scalable = scalable,
								     .device_iotlb = true},
					 60000);
	h->tables = vtd_page(h->d);
	for (unsigned i = 1; i < TABLES; i++)
		vtd_page(h->d);
	for (uint64_t at = 0; at < TABLES * VTD_PAGE_SIZE; at += 8)
		vtd_set(h->d, h->tables + at, garbage(h, &state));
	h->d->root = h->tables;
	vtd_start(h->d, scalable ? VTD_TTM_IS_SCALABLE : VTD_TTM_IS_LEGACY);
}

/* Entries of the root table are right now and then, or little would be found. */
static void mend_root(struct hostile *h, bool scalable)
{
	uint64_t root = h->tables + vtd_root_offset(VTD_A);

	vtd_set(h->d, root, (h->tables + VTD_PAGE_SIZE) | VTD_ENTRY_P);
	vtd_set(h->d, root + 8, scalable ? (h->tables + 2 * VTD_PAGE_SIZE) | VTD_ENTRY_P : 0);
	if (scalable)
		return;
	for (unsigned i = 0; i < VTD_PAGE_SIZE; i += 16) {
		vtd_set(h->d, h->tables + VTD_PAGE_SIZE + i, (h->tables + 3 * VTD_PAGE_SIZE) | VTD_ENTRY_P);
		vtd_set(h->d, h->tables + VTD_PAGE_SIZE + i + 8, 1 << 8 | 2);
	}
}

static void run(bool scalable)
{
	struct hostile h = {0};
	pthread_t scribbler, users[USERS];

	prepare(&h, scalable);
	pthread_create(&scribbler, NULL, scribbler_main, &h);
	for (unsigned i = 0; i < USERS; i++)
		pthread_create(&users[i], NULL, user_main, &h);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t before = h.found + h.blocked;

		mend_root(&h, scalable);
		invalidate_all(h.d);
		while (h.found + h.blocked < before + ACCESSES)
			;
	}
	atomic_store(&h.stop, true);
	pthread_join(scribbler, NULL);
	for (unsigned i = 0; i < USERS; i++)
		pthread_join(users[i], NULL);
	assert_true(h.blocked > 0);
	assert_int_equal(h.outside, 0);
	if (!scalable)
		assert_true(h.found > 0);
	vtd_driver_destroy(h.d);
}

static void test_legacy_tables_of_garbage(void **state)
{
	(void)state;
	run(false);
}

static void test_scalable_tables_of_garbage(void **state)
{
	(void)state;
	run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_tables_of_garbage),
		cmocka_unit_test(test_scalable_tables_of_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
