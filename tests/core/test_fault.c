/* SPDX-License-Identifier: BSD-2-Clause */
/* The embedder's fault hook: every fault, with its domain, whether it is logged or not. */
#include <errno.h>
#include <string.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { MANY = 1000, ENDPOINT = 0x18, DOMAIN = 77 };

struct seen {
	unsigned faults, lines;
	struct viommu_fault last;
};

static void note_fault(void *opaque, const struct viommu_fault *fault)
{
	struct seen *seen = opaque;

	seen->faults++;
	seen->last = *fault;
}

static void note_line(void *opaque, const char *line)
{
	struct seen *seen = opaque;

	seen->lines += strstr(line, "more not shown") == NULL;
}

static void complete(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
}

static void read_one(struct viommu_endpoint *endpoint, uint64_t address, int expected)
{
	char byte;

	assert_int_equal(viommu_dma_read(endpoint, (struct viommu_iova){address}, &byte, 1), expected);
}

static void test_every_fault_is_told_though_few_are_logged(void **state)
{
	struct seen seen = {0};
	const struct viommu_config config = {
		.size = sizeof(struct viommu_config), .log = note_line, .fault = note_fault, .opaque = &seen};
	struct viommu *v;
	struct viommu_endpoint *endpoint;

	(void)state;
	assert_int_equal(viommu_create(&config, &v), 0);
	assert_int_equal(viommu_endpoint_add(v, ENDPOINT, "test", &endpoint), 0);
	for (unsigned i = 0; i < MANY; i++)
		read_one(endpoint, i, -EFAULT);
	assert_int_equal(seen.faults, MANY);
	assert_true(seen.lines < MANY / 2);
	assert_int_equal(seen.last.endpoint, ENDPOINT);
	assert_int_equal(seen.last.iova.value, MANY - 1);
	assert_int_equal(seen.last.access, VIOMMU_READ);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_destroy(v);
}

static void test_a_fault_says_whether_it_was_in_a_domain(void **state)
{
	struct seen seen = {0};
	const struct viommu_config config = {
		.size = sizeof(struct viommu_config), .fault = note_fault, .opaque = &seen};
	struct viommu *v;
	struct viommu_endpoint *endpoint;
	struct viommu_domain *domain;
	struct viommu_inval *inval;

	(void)state;
	assert_int_equal(viommu_create(&config, &v), 0);
	assert_int_equal(viommu_endpoint_add(v, ENDPOINT, "test", &endpoint), 0);
	assert_int_equal(viommu_domain_create(v, DOMAIN, &domain), 0);
	assert_int_equal(viommu_inval_create(v, &inval), 0);

	read_one(endpoint, 0x1000, -EFAULT);
	assert_int_equal(seen.last.reason, VIOMMU_FAULT_BLOCKED);
	assert_false(seen.last.in_domain);

	assert_int_equal(viommu_bypass(endpoint, inval), 0);
	complete(inval);
	read_one(endpoint, 0x1000, -EFAULT);
	assert_int_equal(seen.last.reason, VIOMMU_FAULT_NO_MEMORY);
	assert_false(seen.last.in_domain);

	assert_int_equal(viommu_attach(endpoint, domain, inval), 0);
	complete(inval);
	read_one(endpoint, 0x1000, -EFAULT);
	assert_int_equal(seen.last.reason, VIOMMU_FAULT_NOT_MAPPED);
	assert_true(seen.last.in_domain);
	assert_int_equal(seen.last.domain, DOMAIN);

	assert_int_equal(viommu_detach(endpoint, inval), 0);
	complete(inval);
	viommu_inval_destroy(inval);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_domain_destroy(domain);
	viommu_destroy(v);
}

/* Who looks ahead gets the error, and nobody hears of it; the next section is as all others. */
static void test_a_quiet_section_reports_nothing(void **state)
{
	struct seen seen = {0};
	const struct viommu_config config = {
		.size = sizeof(struct viommu_config), .log = note_line, .fault = note_fault, .opaque = &seen};
	struct viommu *v;
	struct viommu_endpoint *endpoint;
	struct viommu_section section;
	struct viommu_span span;

	(void)state;
	assert_int_equal(viommu_create(&config, &v), 0);
	assert_int_equal(viommu_endpoint_add(v, ENDPOINT, "test", &endpoint), 0);
	assert_int_equal(viommu_dma_begin(endpoint, &section), 0);
	section.quiet = true;
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){0}, 1, VIOMMU_READ, &span), -EFAULT);
	viommu_dma_end(&section);
	assert_int_equal(seen.faults, 0);
	assert_int_equal(seen.lines, 0);
	read_one(endpoint, 0, -EFAULT);
	assert_int_equal(seen.faults, 1);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_destroy(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_fault_is_told_though_few_are_logged),
		cmocka_unit_test(test_a_fault_says_whether_it_was_in_a_domain),
		cmocka_unit_test(test_a_quiet_section_reports_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
