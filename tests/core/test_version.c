/* SPDX-License-Identifier: BSD-2-Clause */
/* The version that headers and library name is the project's. */
#include <stdio.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

static void test_the_library_names_the_project_version(void **state)
{
	(void)state;
	assert_string_equal(viommu_version_string(), VIOMMU_VERSION);
}

static void test_number_and_headers_agree_with_it(void **state)
{
	unsigned major, minor, patch;

	(void)state;
	assert_int_equal(sscanf(VIOMMU_VERSION, "%u.%u.%u", &major, &minor, &patch), 3);
	assert_int_equal(VIOMMU_VERSION_MAJOR, major);
	assert_int_equal(VIOMMU_VERSION_MINOR, minor);
	assert_int_equal(VIOMMU_VERSION_PATCH, patch);
	assert_int_equal(viommu_version(), major * 65536 + minor * 256 + patch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_library_names_the_project_version),
		cmocka_unit_test(test_number_and_headers_agree_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
