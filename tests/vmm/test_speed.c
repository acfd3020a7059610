/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether KVM interprets guests, judged from figures that machines of several kinds gave. */
#include "tests/support/test.h"

#include "vmm/speed.h"

enum { ENOUGH = 20 };

/* Measurements one after the other until there is a verdict; `used` says how many it took. */
static enum kvm_verdict judge(const double *ratios, unsigned count, unsigned *used)
{
	double best = ratios[0];

	for (unsigned i = 0; i < count; i++) {
		best = ratios[i] < best ? ratios[i] : best;
		*used = i + 1;
		const enum kvm_verdict verdict = kvm_judge(best, i + 1);

		if (verdict != KVM_MEASURE_AGAIN)
			return verdict;
	}
	return KVM_MEASURE_AGAIN;
}

static void test_fast_one_is_seen_at_once(void **state)
{
	static const double ratios[] = {0.8, 1.1, 3, 9.9};
	unsigned used;

	(void)state;
	for (unsigned i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		assert_int_equal(judge(&ratios[i], 1, &used), KVM_SAYS_NATIVE);
		assert_int_equal(used, 1);
	}
}

/* Of these figures none belongs to an interpreter. */
static void test_busy_machine_is_never_refused(void **state)
{
	static const double ratios[] = {10, 25, 100, 299};

	(void)state;
	for (unsigned i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
		double same[ENOUGH];
		unsigned used;

		for (unsigned k = 0; k < ENOUGH; k++)
			same[k] = ratios[i];
		assert_int_equal(judge(same, ENOUGH, &used), KVM_SAYS_BUSY);
		assert_in_range(used, 3, 8);
	}
}

/* The best one counts, whatever came before it. */
static void test_quiet_moment_counts(void **state)
{
	unsigned used;

	(void)state;
	assert_int_equal(judge((const double[]){10, 1.2}, 2, &used), KVM_SAYS_NATIVE);
	assert_int_equal(judge((const double[]){4000, 1.2}, 2, &used), KVM_SAYS_NATIVE);
	assert_int_equal(judge((const double[]){80, 4000, 60, 9}, 4, &used), KVM_SAYS_NATIVE);
	assert_int_equal(judge((const double[]){4000, 80, 4000, 4000, 4000, 4000}, 6, &used), KVM_SAYS_BUSY);
}

static void test_interpreter_is_refused_after_a_second_look(void **state)
{
	unsigned used;

	(void)state;
	assert_int_equal(kvm_judge(4000, 1), KVM_MEASURE_AGAIN);
	assert_int_equal(judge((const double[]){3877, 3870}, 2, &used), KVM_SAYS_SLOW);
	assert_int_equal(judge((const double[]){1000, 900}, 2, &used), KVM_SAYS_SLOW);
	assert_int_equal(used, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast_one_is_seen_at_once),
		cmocka_unit_test(test_busy_machine_is_never_refused),
		cmocka_unit_test(test_quiet_moment_counts),
		cmocka_unit_test(test_interpreter_is_refused_after_a_second_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
