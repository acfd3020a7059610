/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt remapping as the unit's registers and queue drive it; what entries may contain is unit/test_ir's. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/support/vtd_guest.h"

enum { VECTOR = 0x55, DESTINATION = 300, SIZE_CODE = 7 /* 256 entries */ };

static struct viommu_irq_message request(uint16_t index)
{
	return (struct viommu_irq_message){0xfee00010 | (uint64_t)(index & 0x7fff) << 5 | (uint64_t)(index >> 15) << 2,
					   0};
}

static void entry(struct guest *guest, uint16_t index, uint16_t source)
{
	guest_put(guest, GUEST_IRTES + index * 16u, 1 | VECTOR << 16 | (uint64_t)DESTINATION << 32);
	guest_put(guest, GUEST_IRTES + index * 16u + 8, source | 1 << 18);
}

static void enable(struct guest *guest)
{
	guest_set(guest, VTD_IRTA, GUEST_IRTES | VTD_IRTA_EIME | SIZE_CODE, 8);
	guest_command(guest, VTD_GCMD_SIRTP);
	guest_command(guest, VTD_GCMD_IRE);
	assert_int_equal(guest_get(guest, VTD_GSTS, 4) & (VTD_GCMD_SIRTP | VTD_GCMD_IRE),
			 VTD_GCMD_SIRTP | VTD_GCMD_IRE);
	guest->invalidations = guest->commits = 0;
}

static int remap(struct guest *guest, uint16_t source, struct viommu_irq_message in, struct viommu_irq_message *out,
		 bool report)
{
	uint32_t index;

	return viommu_vtd_remap(guest->unit, source, &in, out, &index, report);
}

/* As it is, and no entry has decided it. */
static void assert_passes(struct guest *guest, struct viommu_irq_message in)
{
	struct viommu_irq_message out;
	uint32_t index = 0;

	assert_int_equal(viommu_vtd_remap(guest->unit, 0x18, &in, &out, &index, true), 0);
	assert_int_equal(index, UINT32_MAX);
	assert_int_equal(out.address, in.address);
	assert_int_equal(out.data, in.data);
}

static void test_everything_passes_until_it_is_enabled(void **state)
{
	assert_passes(*state, request(3));
}

static void test_remapped(void **state)
{
	struct guest *guest = *state;
	struct viommu_irq_message out, in = request(3);
	uint32_t index;

	enable(guest);
	entry(guest, 3, 0x18);
	assert_int_equal(viommu_vtd_remap(guest->unit, 0x18, &in, &out, &index, true), 0);
	assert_int_equal(index, 3);
	assert_int_equal(out.data & 0xff, VECTOR);
	assert_int_equal(out.address >> 12 & 0xff, DESTINATION & 0xff);
	assert_int_equal(out.address >> 32, DESTINATION & ~0xffu);
}

static void test_a_refusal_is_recorded_when_it_is_real(void **state)
{
	struct guest *guest = *state;
	struct viommu_irq_message out;

	enable(guest);
	entry(guest, 3, 0x20);
	assert_int_equal(remap(guest, 0x18, request(3), &out, false), -EPERM);
	assert_int_equal(guest_get(guest, VTD_FSTS, 4), 0);
	assert_int_equal(remap(guest, 0x18, request(3), &out, true), -EPERM);
	assert_int_equal(guest_get(guest, VTD_FRCD, 8), 3ull << 48);
	assert_int_equal(guest_get(guest, VTD_FRCD + 8, 8), 1ull << 63 | 0x26ull << 32 | 0x18);
}

static void test_compatibility_format(void **state)
{
	struct guest *guest = *state;
	const struct viommu_irq_message in = {0xfee01000, 0x41};
	struct viommu_irq_message out;

	guest_set(guest, VTD_IRTA, GUEST_IRTES | SIZE_CODE, 8); /* without EIME */
	guest_command(guest, VTD_GCMD_SIRTP);
	guest_command(guest, VTD_GCMD_IRE);
	assert_int_equal(remap(guest, 0x18, in, &out, false), -EPERM);
	guest_command(guest, VTD_GCMD_CFI);
	assert_true(guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_CFI);
	assert_passes(guest, in);
	guest_uncommand(guest, VTD_GCMD_CFI);
	assert_int_equal(remap(guest, 0x18, in, &out, true), -EPERM);
	assert_int_equal(vtd_field(guest_get(guest, VTD_FRCD + 8, 8), 39, 32), 0x25);
}

static void test_invalidations_name_entries(void **state)
{
	struct guest *guest = *state;

	enable(guest);
	guest_queue_on(guest, false);
	guest_push(guest, VTD_D_IEC | 1 << 4 | 7ull << 32, 0);
	guest_push_wait(guest, 1);
	guest_kick(guest);
	assert_int_equal(guest->invalidations, 1);
	assert_int_equal(guest->first, 7);
	assert_int_equal(guest->last, 7);
	assert_int_equal(guest->commits, 1);
	guest_push(guest, VTD_D_IEC | 1 << 4 | 3 << 27 | 13ull << 32, 0);
	guest_push_wait(guest, 2);
	guest_kick(guest);
	assert_int_equal(guest->first, 8);
	assert_int_equal(guest->last, 15);
	guest_push(guest, VTD_D_IEC, 0);
	guest_push_wait(guest, 3);
	guest_kick(guest);
	assert_int_equal(guest->first, 0);
	assert_int_equal(guest->last, UINT32_MAX);
	assert_int_equal(guest->commits, 3);
}

static void test_one_commit_for_each_wait(void **state)
{
	struct guest *guest = *state;

	enable(guest);
	guest_queue_on(guest, false);
	for (unsigned i = 0; i < 20; i++)
		guest_push(guest, VTD_D_IEC | 1 << 4 | (uint64_t)i << 32, 0);
	guest_push_wait(guest, 1);
	guest_push_wait(guest, 2);
	guest_kick(guest);
	assert_int_equal(guest->invalidations, 20);
	assert_int_equal(guest->commits, 1);
	/* And one at the end of a burst that has none. */
	guest_push(guest, VTD_D_IEC, 0);
	guest_kick(guest);
	assert_int_equal(guest->commits, 2);
	guest_kick(guest);
	assert_int_equal(guest->commits, 2);
}

static void test_switching_resolves_everything_again(void **state)
{
	struct guest *guest = *state;

	enable(guest);
	guest_uncommand(guest, VTD_GCMD_IRE);
	assert_int_equal(guest->invalidations, 1);
	assert_int_equal(guest->first, 0);
	assert_int_equal(guest->last, UINT32_MAX);
	assert_int_equal(guest->commits, 1);
	guest_command(guest, VTD_GCMD_SIRTP);
	assert_int_equal(guest->commits, 2);
}

static void test_a_table_that_is_not_in_memory(void **state)
{
	struct guest *guest = *state;
	struct viommu_irq_message out;

	guest_set(guest, VTD_IRTA, GUEST_RAM | VTD_IRTA_EIME | SIZE_CODE, 8);
	guest_command(guest, VTD_GCMD_SIRTP);
	guest_command(guest, VTD_GCMD_IRE);
	assert_int_equal(remap(guest, 0x18, request(0), &out, true), -EPERM);
	assert_int_equal(vtd_field(guest_get(guest, VTD_FRCD + 8, 8), 39, 32), 0x23);
	assert_int_equal(remap(guest, 0x20, request(256), &out, true), -EPERM);
	assert_int_equal(vtd_field(guest_get(guest, VTD_FRCD + 24, 8), 39, 32), 0x21);
}

/* A vCPU whose write to the tail takes long, as a commit to the kernel may. */
struct busy {
	struct guest *guest;
	_Atomic bool inside, let_go;
};

static void slow_commit(void *opaque)
{
	enum { PATIENCE_MS = 5000 };
	struct busy *busy = opaque;

	atomic_store(&busy->inside, true);
	for (unsigned i = 0; i < PATIENCE_MS && !atomic_load(&busy->let_go); i++)
		usleep(1000);
}

static void *kick(void *opaque)
{
	struct busy *busy = opaque;

	guest_kick(busy->guest);
	return NULL;
}

/* Who polls for everybody, the thread of all devices, does not wait for a vCPU that is at work in the unit. */
static void test_a_poll_does_not_wait_for_a_vcpu(void **state)
{
	struct guest *guest = *state;
	void *const opaque = guest->unit->config.opaque;
	struct busy busy = {.guest = guest};
	pthread_t vcpu;

	enable(guest);
	guest_queue_on(guest, false);
	guest_push(guest, VTD_D_IEC, 0);
	guest_push_wait(guest, 8);
	guest->unit->config.irq_invalidate = NULL;
	guest->unit->config.irq_commit = slow_commit;
	guest->unit->config.pending = NULL;
	guest->unit->config.opaque = &busy;
	assert_int_equal(pthread_create(&vcpu, NULL, kick, &busy), 0);
	while (!atomic_load(&busy.inside))
		usleep(1000);
	assert_int_equal(viommu_vtd_poll(guest->unit), -EAGAIN);
	atomic_store(&busy.let_go, true);
	pthread_join(vcpu, NULL);
	assert_int_equal(viommu_vtd_poll(guest->unit), 0);
	assert_int_equal(guest_status(guest), 8);
	guest->unit->config.irq_commit = NULL;
	guest->unit->config.opaque = opaque;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_everything_passes_until_it_is_enabled),
		TEST(test_remapped),
		TEST(test_a_refusal_is_recorded_when_it_is_real),
		TEST(test_compatibility_format),
		TEST(test_invalidations_name_entries),
		TEST(test_one_commit_for_each_wait),
		TEST(test_switching_resolves_everything_again),
		TEST(test_a_table_that_is_not_in_memory),
		TEST(test_a_poll_does_not_wait_for_a_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
