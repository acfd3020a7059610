/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory slots, on a KVM that writes down what it is told and refuses what the real one does. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "tests/support/test.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/slots.h"

enum { MAX = 4, PAGE = 4096, SIZE = 16 * PAGE };

static struct kvm_userspace_memory_region region[MAX]; /* by number; a size of 0: none */
static unsigned calls;
static int refusal;
static struct kvm_slots slots;
static uint8_t memory[2 * SIZE] __attribute__((aligned(PAGE)));

int kvm_memory_set(int vm, const struct kvm_userspace_memory_region *set)
{
	assert_int_equal(vm, 7);
	assert_true(set->slot < MAX);
	calls++;
	if (refusal)
		return refusal;
	struct kvm_userspace_memory_region *old = &region[set->slot];

	/* Numbers that are in use are for their own memory, and what is read-only stays so. */
	if (set->memory_size && old->memory_size) {
		assert_int_equal(old->guest_phys_addr, set->guest_phys_addr);
		assert_int_equal(old->memory_size, set->memory_size);
		assert_int_equal(old->userspace_addr, set->userspace_addr);
		assert_int_equal((old->flags ^ set->flags) & KVM_MEM_READONLY, 0);
	}
	for (unsigned i = 0; set->memory_size && i < MAX; i++)
		assert_true(i == set->slot || !region[i].memory_size ||
			    region[i].guest_phys_addr + region[i].memory_size <= set->guest_phys_addr ||
			    set->guest_phys_addr + set->memory_size <= region[i].guest_phys_addr);
	*old = *set;
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	memset(region, 0, sizeof(region));
	calls = 0;
	refusal = 0;
	kvm_slots_init(&slots, 7, MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kvm_slots_fini(&slots);
	return 0;
}

static struct kvm_slot slot_at(uint64_t gpa, uint64_t size)
{
	return (struct kvm_slot){.gpa = gpa, .size = size, .host = memory};
}

static void test_numbers_do_not_clash(void **state)
{
	struct kvm_slot a = slot_at(0, SIZE), b = slot_at(SIZE, SIZE), c = slot_at(4 * SIZE, PAGE);

	(void)state;
	assert_int_equal(kvm_slot_add(&slots, &a), 0);
	assert_int_equal(kvm_slot_add(&slots, &b), 0);
	assert_int_equal(a.number, 0);
	assert_int_equal(b.number, 1);
	assert_int_equal(region[1].guest_phys_addr, SIZE);
	assert_int_equal(region[1].userspace_addr, (uintptr_t)memory);
	assert_int_equal(kvm_slot_remove(&slots, &a), 0);
	assert_int_equal(region[0].memory_size, 0);
	/* The number that became free, and then the next. */
	assert_int_equal(kvm_slot_add(&slots, &c), 0);
	assert_int_equal(c.number, 0);
	assert_int_equal(kvm_slot_add(&slots, &a), 0);
	assert_int_equal(a.number, 2);
	assert_int_equal(region[1].guest_phys_addr, SIZE);
}

static void test_no_two_at_one_address(void **state)
{
	struct kvm_slot a = slot_at(SIZE, SIZE), below = slot_at(0, SIZE + PAGE), in = slot_at(SIZE + PAGE, PAGE),
			above = slot_at(2 * SIZE - PAGE, SIZE), next = slot_at(2 * SIZE, PAGE);

	(void)state;
	assert_int_equal(kvm_slot_add(&slots, &a), 0);
	assert_int_equal(kvm_slot_add(&slots, &a), -EEXIST);
	assert_int_equal(kvm_slot_add(&slots, &below), -EEXIST);
	assert_int_equal(kvm_slot_add(&slots, &in), -EEXIST);
	assert_int_equal(kvm_slot_add(&slots, &above), -EEXIST);
	assert_int_equal(calls, 1);
	assert_int_equal(kvm_slot_add(&slots, &next), 0);
}

static void test_what_cannot_be_is_refused(void **state)
{
	struct kvm_slot odd = slot_at(1, SIZE), empty = slot_at(0, 0), half = slot_at(0, PAGE / 2),
			beyond = slot_at(-(uint64_t)PAGE, 2 * PAGE), crooked = slot_at(0, PAGE),
			last = slot_at(-(uint64_t)PAGE, PAGE);

	(void)state;
	crooked.host = memory + 1;
	assert_int_equal(kvm_slot_add(&slots, &odd), -EINVAL);
	assert_int_equal(kvm_slot_add(&slots, &empty), -EINVAL);
	assert_int_equal(kvm_slot_add(&slots, &half), -EINVAL);
	assert_int_equal(kvm_slot_add(&slots, &beyond), -EINVAL);
	assert_int_equal(kvm_slot_add(&slots, &crooked), -EINVAL);
	assert_int_equal(calls, 0);
	assert_int_equal(kvm_slot_remove(&slots, &odd), -ENOENT);
	assert_int_equal(kvm_slot_log(&slots, &odd, true), -ENOENT);
	assert_int_equal(kvm_slot_add(&slots, &last), 0);
}

static void test_kvm_has_so_many(void **state)
{
	struct kvm_slot all[MAX + 1];

	(void)state;
	for (unsigned i = 0; i <= MAX; i++) {
		all[i] = slot_at(i * SIZE, SIZE);
		assert_int_equal(kvm_slot_add(&slots, &all[i]), i < MAX ? 0 : -ENOSPC);
	}
	assert_int_equal(kvm_slot_remove(&slots, &all[1]), 0);
	assert_int_equal(kvm_slot_add(&slots, &all[MAX]), 0);
	assert_int_equal(all[MAX].number, 1);
}

static void test_what_kvm_refuses_is_not_there(void **state)
{
	struct kvm_slot a = slot_at(0, SIZE), b = slot_at(0, SIZE);

	(void)state;
	refusal = -ENOMEM;
	assert_int_equal(kvm_slot_add(&slots, &a), -ENOMEM);
	refusal = 0;
	assert_int_equal(kvm_slot_add(&slots, &b), 0);
	refusal = -EFAULT;
	assert_int_equal(kvm_slot_log(&slots, &b, true), -EFAULT);
	assert_int_equal(kvm_slot_remove(&slots, &b), -EFAULT);
	refusal = 0;
	assert_false(b.logged);
	assert_int_equal(kvm_slot_remove(&slots, &b), 0);
}

static void test_aliases_show_the_same_memory(void **state)
{
	struct kvm_slot a = slot_at(0, SIZE), rom = {.gpa = 2 * SIZE, .size = 2 * PAGE, .readonly = true},
			second = {.gpa = 3 * SIZE, .size = PAGE}, beyond = {.gpa = 4 * SIZE, .size = 2 * PAGE};

	(void)state;
	assert_int_equal(kvm_slot_add_alias(&slots, &rom, &a, PAGE), -EINVAL);
	assert_int_equal(kvm_slot_add(&slots, &a), 0);
	assert_int_equal(kvm_slot_add_alias(&slots, &rom, &a, PAGE), 0);
	assert_int_equal(region[rom.number].userspace_addr, (uintptr_t)memory + PAGE);
	assert_int_equal(region[rom.number].flags, KVM_MEM_READONLY);
	assert_int_equal(region[a.number].flags, 0);
	assert_int_equal(kvm_slot_add_alias(&slots, &second, &rom, 0), -EINVAL);
	assert_int_equal(kvm_slot_add_alias(&slots, &beyond, &a, SIZE - PAGE), -EINVAL);
	assert_int_equal(kvm_slot_add_alias(&slots, &beyond, &a, UINT64_MAX - PAGE + 1), -EINVAL);
	/* The memory is there as long as somebody shows it. */
	assert_int_equal(kvm_slot_remove(&slots, &a), -EBUSY);
	assert_int_equal(kvm_slot_remove(&slots, &rom), 0);
	assert_int_equal(kvm_slot_remove(&slots, &a), 0);
}

static void test_writes_are_logged_when_asked(void **state)
{
	struct kvm_slot a = slot_at(0, SIZE), rom = slot_at(SIZE, SIZE);

	(void)state;
	rom.readonly = true;
	assert_int_equal(kvm_slot_add(&slots, &a), 0);
	assert_int_equal(kvm_slot_add(&slots, &rom), 0);
	assert_int_equal(kvm_slot_log(&slots, &a, true), 0);
	assert_int_equal(region[a.number].flags, KVM_MEM_LOG_DIRTY_PAGES);
	assert_int_equal(kvm_slot_log(&slots, &rom, true), 0);
	assert_int_equal(region[rom.number].flags, KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES);
	assert_int_equal(calls, 4);
	assert_int_equal(kvm_slot_log(&slots, &a, true), 0);
	assert_int_equal(calls, 4);
	assert_int_equal(kvm_slot_log(&slots, &a, false), 0);
	assert_int_equal(region[a.number].flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers_do_not_clash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_two_at_one_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kvm_has_so_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_kvm_refuses_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_aliases_show_the_same_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writes_are_logged_when_asked, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
