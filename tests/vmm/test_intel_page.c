/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The register page of a VT-d unit as memory of the guest: when it is shown and taken away, on a KVM that writes down
 * what it is told, and refuses it. A guest's processor is played by the test.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/support/vtd_driver.h"
#include "vmm/kvm/memory.h"
#include "vmm/util/loop.h"
#include "vmm/wiring/intel_page.h"

enum { AT = 0xfed90000, NOWHERE = 0x5000 };

static struct kvm_userspace_memory_region shown; /* a size of 0: not */
static int refusal;

int kvm_memory_set(int vm, const struct kvm_userspace_memory_region *set)
{
	(void)vm;
	if (!refusal)
		shown = *set;
	return refusal;
}

struct world {
	struct vtd_driver *d;
	struct kvm_slots slots;
	struct loop *loop;
	struct intel_page page;
};

static void stop(void *opaque)
{
	loop_stop(opaque);
}

/* The loop does what was posted, and polls. */
static void turn(struct world *w)
{
	struct loop_work work = {.run = stop, .opaque = w->loop};

	for (unsigned i = 0; i < 2; i++) {
		loop_post(w->loop, &work);
		assert_int_equal(loop_run(w->loop), 0);
	}
}

static int set_up(void **state)
{
	static struct world world;
	struct world *w = &world;

	memset(&shown, 0, sizeof(shown));
	refusal = 0;
	*w = (struct world){.d = vtd_driver_create(NULL)};
	kvm_slots_init(&w->slots, 7, 4);
	assert_int_equal(loop_create(&w->loop), 0);
	assert_int_equal(intel_page_init(&w->page, w->d->unit, AT, &w->slots, w->loop, POLLING_ALWAYS), 0);
	vtd_start(w->d, VTD_TTM_IS_LEGACY);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	intel_page_fini(&w->page);
	loop_destroy(w->loop);
	kvm_slots_fini(&w->slots);
	vtd_driver_destroy(w->d);
	return 0;
}

static _Atomic uint32_t *word(unsigned offset)
{
	assert_true(shown.memory_size);
	return (_Atomic uint32_t *)(uintptr_t)(shown.userspace_addr + offset);
}

static void ring(struct world *w)
{
	intel_page_busy(&w->page);
	turn(w);
}

/* After a while that is not asked for. */
static void ring_until_shown(struct world *w)
{
	while (!shown.memory_size)
		ring(w);
	assert_int_equal(shown.guest_phys_addr, AT);
	assert_int_equal(shown.memory_size, VIOMMU_VTD_SIZE);
}

static void expect_served(struct world *w)
{
	vtd_queue_put_wait(w->d, 1);
	atomic_store(word(VTD_IQT), w->d->tail);
	turn(w);
	assert_int_equal(vtd_queue_status(w->d), 1);
	assert_int_equal(atomic_load(word(VTD_IQH)), w->d->tail);
}

static bool translates(struct world *w)
{
	return viommu_vtd_read(w->d->unit, VTD_GSTS, 4) & VTD_GCMD_TE;
}

static void test_requests_are_served_in_the_page(void **state)
{
	struct world *w = *state;

	turn(w);
	assert_int_equal(shown.memory_size, 0);
	ring_until_shown(w);
	for (unsigned i = 0; i < 100; i++)
		expect_served(w);
}

static void test_a_command_takes_it_away_for_a_while(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		ring_until_shown(w);
		atomic_store(word(VTD_GCMD), i ? w->d->commands : VTD_GCMD_QIE);
		turn(w);
		assert_int_equal(shown.memory_size, 0);
		assert_int_equal(translates(w), i);
	}
	ring_until_shown(w);
	expect_served(w);
}

static void test_a_processor_takes_it_away_when_a_fault_waits(void **state)
{
	struct world *w = *state;

	ring_until_shown(w);
	intel_page_settle(&w->page);
	assert_true(shown.memory_size);
	assert_true(vtd_peek(w->d, VTD_A, NOWHERE) < 0);
	assert_true(shown.memory_size);
	intel_page_settle(&w->page);
	assert_int_equal(shown.memory_size, 0);
	assert_int_equal(vtd_take_fault(w->d).source, VTD_A);
	turn(w);
	ring_until_shown(w);
}

static void test_it_is_not_shown_where_kvm_refuses(void **state)
{
	struct world *w = *state;

	refusal = -ENOMEM;
	ring(w);
	vtd_queue_sync(w->d);
	vtd_command_clear(w->d, VTD_GCMD_TE);
	refusal = 0;
	ring_until_shown(w);
}

static void test_where_kvm_does_not_take_it_away_it_is_tried_again(void **state)
{
	struct world *w = *state;

	ring_until_shown(w);
	refusal = -ENOMEM;
	atomic_store(word(VTD_GCMD), VTD_GCMD_QIE);
	turn(w);
	assert_true(translates(w));
	refusal = 0;
	turn(w);
	assert_int_equal(shown.memory_size, 0);
	assert_false(translates(w));
}

/* The unit lives on for a while: it must not write to memory that is gone. */
static void test_it_ends_where_kvm_does_not_take_it_away(void **state)
{
	struct world *w = *state;

	ring_until_shown(w);
	refusal = -ENOMEM;
	intel_page_fini(&w->page);
	vtd_queue_sync(w->d);
	vtd_command_clear(w->d, VTD_GCMD_TE);
	refusal = 0;
	assert_int_equal(intel_page_init(&w->page, w->d->unit, AT, &w->slots, w->loop, POLLING_OFF), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_requests_are_served_in_the_page),
		TEST(test_a_command_takes_it_away_for_a_while),
		TEST(test_a_processor_takes_it_away_when_a_fault_waits),
		TEST(test_it_is_not_shown_where_kvm_refuses),
		TEST(test_where_kvm_does_not_take_it_away_it_is_tried_again),
		TEST(test_it_ends_where_kvm_does_not_take_it_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
