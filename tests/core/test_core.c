/* SPDX-License-Identifier: BSD-2-Clause */
/* Domains, endpoints and translation through the public interface, in one thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { RAM_SIZE = 1 << 20, HIGH = 0x200000 };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	uint8_t *ram, *high;
	unsigned lines;
	char line[256];
};

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static struct viommu_gpa gpa(uint64_t value)
{
	return (struct viommu_gpa){value};
}

static void log_line(void *opaque, const char *line)
{
	struct fixture *f = opaque;

	f->lines++;
	snprintf(f->line, sizeof(f->line), "%s", line);
}

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct viommu_config config = {.size = sizeof(struct viommu_config), .log = log_line, .opaque = f};

	f->ram = aligned_alloc(4096, RAM_SIZE);
	f->high = aligned_alloc(4096, RAM_SIZE);
	for (unsigned i = 0; i < RAM_SIZE; i++)
		f->ram[i] = (uint8_t)(i >> 12), f->high[i] = 0x80;
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, gpa(HIGH), RAM_SIZE, f->high, -1, 0), 0);
	assert_int_equal(viommu_mem_add(f->v, gpa(0), RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 0x18, "0000:00:03.0", &f->endpoint), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f->high);
	free(f);
	return 0;
}

static void attach(struct fixture *f)
{
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f);
}

static int map(struct fixture *f, uint64_t first, uint64_t last, uint64_t to, unsigned access)
{
	return viommu_map(f->domain, iova(first), iova(last), gpa(to), access);
}

static void expect_fault(struct fixture *f, uint64_t address, enum viommu_fault_reason reason)
{
	struct viommu_fault fault;

	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.endpoint, 0x18);
	assert_true(fault.iova.value == address);
	assert_int_equal(fault.reason, reason);
	assert_int_equal(viommu_fault_next(f->v, &fault), -EAGAIN);
}

static void test_an_endpoint_starts_blocked(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 0xee;

	assert_int_equal(viommu_dma_write(f->endpoint, iova(0x1000), &byte, 1), -EFAULT);
	assert_int_equal(f->ram[0x1000], 1);
	expect_fault(f, 0x1000, VIOMMU_FAULT_BLOCKED);
	assert_string_equal(f->line, "fault: 0000:00:03.0 write 0x1000: not attached (no domain)");
}

static void test_bypass_reaches_memory_and_only_memory(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[2];

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x2fff), bytes, 2), 0);
	assert_int_equal(bytes[0], 2);
	assert_int_equal(bytes[1], 3);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(RAM_SIZE - 1), bytes, 2), -EFAULT);
	expect_fault(f, RAM_SIZE, VIOMMU_FAULT_NO_MEMORY);
	assert_string_equal(f->line, "fault: 0000:00:03.0 read 0x100000: no memory there (bypass)");
}

static void test_a_mapping_translates_with_its_rights(void **state)
{
	struct fixture *f = *state;
	uint8_t byte = 0;

	attach(f);
	assert_int_equal(map(f, 0x10000, 0x11fff, 0x5000, VIOMMU_READ), 0);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x11000), &byte, 1), 0);
	assert_int_equal(byte, 6);
	assert_int_equal(viommu_dma_write(f->endpoint, iova(0x11000), &byte, 1), -EACCES);
	expect_fault(f, 0x11000, VIOMMU_FAULT_PERMISSION);
	assert_string_equal(f->line, "fault: 0000:00:03.0 write 0x11000: no permission (domain 1)");
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x12000), &byte, 1), -EFAULT);
	expect_fault(f, 0x12000, VIOMMU_FAULT_NOT_MAPPED);
	assert_string_equal(f->line, "fault: 0000:00:03.0 read 0x12000: not mapped (domain 1)");
}

static void test_unmap_takes_the_translation_away(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;
	uint64_t removed;

	attach(f);
	assert_int_equal(map(f, 0x10000, 0x10fff, 0x5000, VIOMMU_READ), 0);
	assert_int_equal(map(f, 0x11000, 0x12fff, 0x8000, VIOMMU_READ), 0);
	assert_int_equal(viommu_unmap(f->domain, iova(0x10000), iova(0x11fff), f->inval, &removed), -ERANGE);
	assert_int_equal(viommu_unmap(f->domain, iova(0x10800), iova(0x12fff), f->inval, &removed), -ERANGE);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x10000), &byte, 1), 0);
	assert_int_equal(viommu_unmap(f->domain, iova(0x800), iova(0x137ff), f->inval, &removed), 0);
	assert_int_equal(removed, 2);
	complete(f);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x10000), &byte, 1), -EFAULT);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0x12fff), &byte, 1), -EFAULT);
}

static void test_pieces_join_where_they_continue(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	attach(f);
	assert_int_equal(map(f, 0x10000, 0x10fff, 0x5000, VIOMMU_READ), 0);
	assert_int_equal(map(f, 0x11000, 0x11fff, 0x6000, VIOMMU_READ), 0); /* continues */
	assert_int_equal(map(f, 0x12000, 0x12fff, 0x9000, VIOMMU_READ), 0); /* does not */
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(0x10800), 0x2800, VIOMMU_READ, &span), 0);
	assert_true(span.host == f->ram + 0x5800 && span.len == 0x1800);
	assert_int_equal(viommu_dma_translate(&section, iova(0x12000), 0x800, VIOMMU_READ, &span), 0);
	assert_true(span.host == f->ram + 0x9000 && span.len == 0x800);
	assert_int_equal(viommu_dma_translate(&section, iova(0x10000), 0, VIOMMU_READ, &span), -EINVAL);
	assert_int_equal(viommu_dma_translate(&section, iova(UINT64_MAX), 2, VIOMMU_READ, &span), -EINVAL);
	viommu_dma_end(&section);
}

static void test_what_is_not_memory_is_found_by_the_access(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	attach(f);
	/* A mapping of everything, as Linux makes for identity domains: holes and all. */
	assert_int_equal(map(f, 0, UINT64_MAX, 0, VIOMMU_READ | VIOMMU_WRITE), 0);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(HIGH), &byte, 1), 0);
	assert_int_equal(byte, 0x80);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(RAM_SIZE), &byte, 1), -EFAULT);
	expect_fault(f, RAM_SIZE, VIOMMU_FAULT_NO_MEMORY);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(UINT64_MAX), &byte, 1), -EFAULT);
	expect_fault(f, UINT64_MAX, VIOMMU_FAULT_NO_MEMORY);
}

static void test_the_end_of_the_space_is_an_address_like_others(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[2];

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_write(f->endpoint, iova(UINT64_MAX), bytes, 1), -EFAULT);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(UINT64_MAX - 1), bytes, 2), -EFAULT);
}

/* One section: what it remembers of one access must not serve another that has other rights. */
static void test_rights_hold_within_a_section(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	attach(f);
	assert_int_equal(map(f, 0x10000, 0x10fff, 0x5000, VIOMMU_READ | VIOMMU_WRITE), 0);
	assert_int_equal(map(f, 0x11000, 0x11fff, 0x6000, VIOMMU_READ), 0); /* continues, with less */
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(0x10000), 0x2000, VIOMMU_WRITE, &span), 0);
	assert_true(span.len == 0x1000);
	assert_int_equal(viommu_dma_translate(&section, iova(0x10000), 0x2000, VIOMMU_READ, &span), 0);
	assert_true(span.len == 0x2000);
	assert_int_equal(viommu_dma_translate(&section, iova(0x11000), 1, VIOMMU_WRITE, &span), -EACCES);
	assert_int_equal(viommu_dma_translate(&section, iova(0x11000), 1, VIOMMU_READ, &span), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(0x11000), 1, VIOMMU_WRITE, &span), -EACCES);
	assert_int_equal(viommu_dma_translate(&section, iova(0x11fff), 2, VIOMMU_READ, &span), 0);
	assert_true(span.len == 1);
	viommu_dma_end(&section);
}

static void test_a_region_is_not_left_backwards(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(HIGH + 16), 16, VIOMMU_READ, &span), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(HIGH - 1), 2, VIOMMU_READ, &span), -EFAULT);
	assert_int_equal(viommu_dma_translate(&section, iova(HIGH), 1, VIOMMU_READ, &span), 0);
	assert_ptr_equal(span.host, f->high);
	assert_int_equal(viommu_dma_translate(&section, iova(16), 1, VIOMMU_READ, &span), 0);
	assert_ptr_equal(span.host, f->ram + 16);
	viommu_dma_end(&section);
}

static void test_bad_arguments_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct viommu_endpoint *other;

	assert_int_equal(map(f, 0x800, 0xfff, 0, VIOMMU_READ), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0x17ff, 0, VIOMMU_READ), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0xfff, 0, VIOMMU_READ), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0x1fff, 0x10, VIOMMU_READ), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0x2fff, UINT64_MAX - 0xfff, VIOMMU_READ), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0x1fff, 0, 8), -EINVAL);
	assert_int_equal(map(f, 0x1000, 0x1fff, 0, VIOMMU_READ), 0);
	assert_int_equal(map(f, 0, 0x1fff, 0, VIOMMU_READ), -EEXIST);
	assert_int_equal(viommu_mem_add(f->v, gpa(0x1000), 0x1000, f->ram, -1, 0), -EEXIST);
	assert_int_equal(viommu_mem_add(f->v, gpa(0x800), 0x1000, f->ram, -1, 0), -EINVAL);
	assert_int_equal(viommu_mem_add(f->v, gpa(UINT64_MAX - 0xfff), 0x2000, f->ram, -1, 0), -EINVAL);
	assert_int_equal(viommu_mem_remove(f->v, gpa(0x1000), f->inval), -ENOENT);
	assert_int_equal(viommu_endpoint_add(f->v, 0x18, "again", &other), -EEXIST);
	assert_ptr_equal(viommu_endpoint_find(f->v, 0x18), f->endpoint);
	assert_null(viommu_endpoint_find(f->v, 0x19));
}

static void test_removed_memory_is_unreachable(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	assert_int_equal(viommu_mem_remove(f->v, gpa(HIGH), f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(HIGH), &byte, 1), -EFAULT);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(0), &byte, 1), 0);
	assert_int_equal(viommu_mem_add(f->v, gpa(HIGH), RAM_SIZE, f->high, -1, 0), 0);
	assert_int_equal(viommu_dma_read(f->endpoint, iova(HIGH), &byte, 1), 0);
}

static void test_fault_lines_are_limited_and_counted(void **state)
{
	struct fixture *f = *state;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};
	struct viommu_fault fault;
	unsigned queued = 0;
	uint8_t byte;

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(viommu_dma_read(f->endpoint, iova(0x1000), &byte, 1), -EFAULT);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.faults, 1000);
	assert_true(f->lines >= 10 && f->lines <= 22); /* a window may end in between */
	assert_int_equal(stats.faults_unlogged + 10, stats.faults - (f->lines > 10 ? f->lines - 11 : 0));
	while (!viommu_fault_next(f->v, &fault))
		queued++;
	assert_int_equal(queued, 256);
}

static void test_counters_outlive_their_domain(void **state)
{
	struct fixture *f = *state;
	struct viommu_domain *other;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	assert_int_equal(viommu_domain_create(f->v, 2, &other), 0);
	assert_int_equal(viommu_map(other, iova(0), iova(0xfff), gpa(0), VIOMMU_READ), 0);
	assert_int_equal(viommu_map(other, iova(0x1000), iova(0x1fff), gpa(0), VIOMMU_READ), 0);
	assert_int_equal(viommu_unmap(other, iova(0), iova(0xfff), f->inval, NULL), 0);
	complete(f);
	viommu_domain_destroy(other);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.maps, 2);
	assert_int_equal(stats.unmaps, 2);
	assert_int_equal(stats.table_bytes, 0);
	assert_int_equal(stats.invalidations, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_an_endpoint_starts_blocked),
		CASE(test_bypass_reaches_memory_and_only_memory),
		CASE(test_a_mapping_translates_with_its_rights),
		CASE(test_unmap_takes_the_translation_away),
		CASE(test_pieces_join_where_they_continue),
		CASE(test_what_is_not_memory_is_found_by_the_access),
		CASE(test_the_end_of_the_space_is_an_address_like_others),
		CASE(test_rights_hold_within_a_section),
		CASE(test_a_region_is_not_left_backwards),
		CASE(test_bad_arguments_change_nothing),
		CASE(test_removed_memory_is_unreachable),
		CASE(test_fault_lines_are_limited_and_counted),
		CASE(test_counters_outlive_their_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
