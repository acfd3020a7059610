/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors against a model (tests/support/mirror_world.h): 10^6 random steps, 10^5 where a sanitizer looks on. */
#include <stdlib.h>

#include "tests/support/mirror_world.h"
#include "tests/support/test.h"

enum {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	STEPS = 100000,
#else
	STEPS = 1000000,
#endif
};

static unsigned choose(void *opaque, unsigned sides)
{
	return (unsigned)rand_r(opaque) / 7 % sides;
}

static void test_mirrors_hold_what_the_model_says(void **state)
{
	unsigned seed = 1;
	struct mirror_world *w = mirror_world_create(NULL, choose, &seed);

	(void)state;
	for (unsigned i = 0; i < STEPS; i++)
		mirror_world_step(w);
	/* Each way of refusing was met. */
	assert_true(w->refused > STEPS / 1000);
	assert_true(w->attaches_refused > STEPS / 10000);
	assert_true(w->failures > STEPS / 1000);
	mirror_world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mirrors_hold_what_the_model_says)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
