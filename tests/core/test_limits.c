/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where numbers and patience end: as many endpoints and domains as there may be, invalidations in use, memory that is
 * not let go of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { RAM = 1 << 16, HALF = RAM / 2, MOST_ENDPOINTS = 65535, MOST_DOMAINS = 65534, SECTIONS = 1024, DEADLINE_MS = 40 };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_endpoint *a, *b;
	uint8_t *ram;
	unsigned cancelled, failed;
	char line[160]; /* the last one that was logged */
};

static void keep_line(void *opaque, const char *line)
{
	struct fixture *f = opaque;

	snprintf(f->line, sizeof(f->line), "%s", line);
}

static void count_failed(void *opaque, uint32_t endpoint)
{
	(void)endpoint;
	((struct fixture *)opaque)->failed++;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct viommu_config config = {.size = sizeof(struct viommu_config),
					     .deadline_ms = DEADLINE_MS,
					     .log = keep_line,
					     .endpoint_failed = count_failed,
					     .opaque = f};

	f->ram = aligned_alloc(4096, RAM);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, HALF, f->ram, -1, 0), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){HALF}, HALF, f->ram + HALF, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 0x18, "0000:00:03.0", &f->a), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 0x20, "0000:00:04.0", &f->b), 0);
	*state = f;
	return 0;
}

static void complete(struct fixture *f)
{
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_detach(f->a, f->inval), 0);
	assert_int_equal(viommu_detach(f->b, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->a), 0);
	assert_int_equal(viommu_endpoint_remove(f->b), 0);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

static bool reads(struct viommu_endpoint *endpoint, uint64_t iova)
{
	uint8_t byte;

	return !viommu_dma_read(endpoint, (struct viommu_iova){iova}, &byte, 1);
}

/* Ids in no order: one is asked for, and found, among all of them. */
static void test_as_many_endpoints_as_there_may_be(void **state)
{
	enum { COUNT = MOST_ENDPOINTS - 2, STRIDE = 40503 };
	struct fixture *f = *state;
	struct viommu_endpoint **endpoints = calloc(COUNT, sizeof(*endpoints)), *more;

	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(viommu_endpoint_add(f->v, 0x10000 + i * STRIDE % 65536, "one of many", &endpoints[i]),
				 0);
	assert_int_equal(viommu_endpoint_add(f->v, 1, "one too many", &more), -ENOSPC);
	for (uint32_t i = 0; i < COUNT; i += 999) {
		assert_ptr_equal(viommu_endpoint_find(f->v, 0x10000 + i * STRIDE % 65536), endpoints[i]);
		assert_int_equal(viommu_endpoint_id(endpoints[i]), 0x10000 + i * STRIDE % 65536);
	}
	assert_null(viommu_endpoint_find(f->v, 1));
	assert_int_equal(viommu_endpoint_remove(endpoints[7]), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 1, "in its place", &endpoints[7]), 0);
	for (uint32_t i = COUNT; i-- > 0;)
		assert_int_equal(viommu_endpoint_remove(endpoints[i]), 0);
	free(endpoints);
}

static void test_as_many_domains_as_there_may_be(void **state)
{
	struct fixture *f = *state;
	struct viommu_domain **domains = calloc(MOST_DOMAINS, sizeof(*domains)), *more;

	for (uint32_t i = 0; i < MOST_DOMAINS; i++)
		assert_int_equal(viommu_domain_create(f->v, i, &domains[i]), 0);
	assert_int_equal(viommu_domain_create(f->v, 0, &more), -ENOSPC);
	/* The one with the highest number is like any other. */
	assert_int_equal(viommu_map(domains[MOST_DOMAINS - 1], (struct viommu_iova){0}, (struct viommu_iova){0xfff},
				    (struct viommu_gpa){0}, VIOMMU_READ),
			 0);
	assert_int_equal(viommu_attach(f->a, domains[MOST_DOMAINS - 1], f->inval), 0);
	assert_true(reads(f->a, 0));
	assert_int_equal(viommu_detach(f->a, f->inval), 0);
	complete(f);
	for (uint32_t i = 0; i < MOST_DOMAINS; i++)
		viommu_domain_destroy(domains[i]);
	assert_int_equal(viommu_domain_create(f->v, 0, &more), 0);
	viommu_domain_destroy(more);
	free(domains);
}

static void test_copies_need_a_section(void **state)
{
	static struct viommu_section sections[SECTIONS];
	struct fixture *f = *state;
	uint8_t byte = 0;

	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	complete(f);
	for (unsigned i = 0; i < SECTIONS; i++)
		assert_int_equal(viommu_dma_begin(f->a, &sections[i]), 0);
	assert_int_equal(viommu_dma_read(f->a, (struct viommu_iova){0}, &byte, 1), -EAGAIN);
	assert_int_equal(viommu_dma_write(f->a, (struct viommu_iova){0}, &byte, 1), -EAGAIN);
	assert_int_equal(viommu_dma_read(f->a, (struct viommu_iova){0}, &byte, 0), 0);
	for (unsigned i = 0; i < SECTIONS; i++)
		viommu_dma_end(&sections[i]);
	assert_int_equal(viommu_dma_read(f->a, (struct viommu_iova){0}, &byte, 1), 0);
}

/* Once it has begun nothing more can be put into it; beginning it again changes nothing. */
static void test_an_invalidation_that_has_begun_takes_no_more(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	assert_int_equal(viommu_bypass(f->b, f->inval), 0);
	assert_int_equal(viommu_dma_begin(f->a, &section), 0);
	assert_int_equal(viommu_detach(f->a, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_detach(f->b, f->inval), -EBUSY);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){HALF}, f->inval), -EBUSY);
	assert_true(reads(f->b, HALF));
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_a_hold_of_a_blocked_endpoint_is_empty(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_hold hold = {0};

	assert_int_equal(viommu_dma_begin(f->a, &section), 0);
	viommu_dma_hold(&section, &hold, NULL, 0);
	viommu_dma_end(&section);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){HALF}, f->inval), 0);
	complete(f);
	viommu_dma_release(&hold);
}

static void test_lines_name_direction_and_domain(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_begin(f->a, &section), 0);
	assert_int_equal(
		viommu_dma_translate(&section, (struct viommu_iova){RAM}, 1, VIOMMU_READ | VIOMMU_WRITE, &span),
		-EFAULT);
	viommu_dma_end(&section);
	assert_string_equal(f->line, "fault: 0000:00:03.0 read-write 0x10000: no memory there (bypass)");
	assert_string_equal(viommu_fault_reason_name((enum viommu_fault_reason)99), "unknown reason");
}

/* Holds that carry the way to their fixture. */
struct io {
	struct viommu_hold hold;
	struct viommu_span span;
	struct fixture *f;
};

static void count_cancelled(struct viommu_hold *hold)
{
	((struct io *)hold)->f->cancelled++;
}

static void begin_io(struct fixture *f, struct viommu_endpoint *endpoint, uint64_t iova, struct io *io)
{
	struct viommu_section section;

	*io = (struct io){.f = f, .hold.cancel = count_cancelled};
	assert_int_equal(viommu_dma_begin(endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){iova}, 8, VIOMMU_WRITE, &io->span), 0);
	viommu_dma_hold(&section, &io->hold, &io->span, 1);
	viommu_dma_end(&section);
}

static int poll_to_the_end(struct viommu_inval *inval)
{
	int err = viommu_inval_poll(inval);

	while (err == -EAGAIN) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		err = viommu_inval_poll(inval);
	}
	return err;
}

static uint64_t quarantined(struct fixture *f)
{
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(f->v, &stats);
	return stats.quarantined;
}

/* Memory that goes away asks every I/O on it to end, and fails who does not; I/O elsewhere is left alone. */
static void test_memory_that_is_not_let_go_of(void **state)
{
	struct fixture *f = *state;
	struct io stays, elsewhere;

	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	assert_int_equal(viommu_bypass(f->b, f->inval), 0);
	complete(f);
	begin_io(f, f->a, HALF + 16, &stays);
	begin_io(f, f->b, 16, &elsewhere);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){HALF}, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(poll_to_the_end(f->inval), -ETIMEDOUT);
	assert_int_equal(f->cancelled, 1);
	assert_int_equal(f->failed, 1);
	assert_true(!reads(f->a, 0) && reads(f->b, 0) && !reads(f->b, HALF));
	assert_int_equal(viommu_bypass(f->a, f->inval), -EIO);
	assert_int_equal(quarantined(f), 1);
	viommu_dma_release(&stays.hold);
	viommu_dma_release(&elsewhere.hold);
	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	assert_int_equal(quarantined(f), 0);
}

/* An endpoint that is in the way twice fails once; it can be attached again when the one that failed it is over. */
static void test_in_the_way_of_two(void **state)
{
	struct fixture *f = *state;
	struct viommu_inval *other;
	struct viommu_section section;

	assert_int_equal(viommu_inval_create(f->v, &other), 0);
	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_dma_begin(f->a, &section), 0);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){HALF}, f->inval), 0);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){0}, other), 0);
	viommu_inval_begin(f->inval);
	viommu_inval_begin(other);
	assert_int_equal(poll_to_the_end(f->inval), -ETIMEDOUT);
	assert_int_equal(poll_to_the_end(other), -ETIMEDOUT);
	assert_int_equal(quarantined(f), 2);
	assert_int_equal(f->failed, 1);
	viommu_dma_end(&section);
	assert_int_equal(quarantined(f), 0);
	assert_int_equal(viommu_bypass(f->a, f->inval), 0);
	viommu_inval_destroy(other);
}

static void test_an_endpoint_stays_while_it_is_inside(void **state)
{
	struct fixture *f = *state;
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_endpoint *endpoint;
	struct viommu_section section;

	assert_int_equal(
		viommu_create(&(struct viommu_config){.size = sizeof(struct viommu_config), .deadline_ms = 1}, &v), 0);
	assert_int_equal(viommu_mem_add(v, (struct viommu_gpa){0}, RAM, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(v, &inval), 0);
	assert_int_equal(viommu_endpoint_add(v, 1, "endpoint", &endpoint), 0);
	assert_int_equal(viommu_dma_begin(endpoint, &section), 0); /* blocked, but inside */
	assert_int_equal(viommu_mem_remove(v, (struct viommu_gpa){0}, inval), 0);
	viommu_inval_begin(inval);
	assert_int_equal(poll_to_the_end(inval), -ETIMEDOUT);
	assert_int_equal(viommu_endpoint_remove(endpoint), -EBUSY);
	viommu_dma_end(&section);
	assert_int_equal(viommu_endpoint_remove(endpoint), 0);
	viommu_inval_destroy(inval);
	viommu_destroy(v);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_as_many_endpoints_as_there_may_be),
		CASE(test_as_many_domains_as_there_may_be),
		CASE(test_copies_need_a_section),
		CASE(test_an_invalidation_that_has_begun_takes_no_more),
		CASE(test_a_hold_of_a_blocked_endpoint_is_empty),
		CASE(test_lines_name_direction_and_domain),
		CASE(test_memory_that_is_not_let_go_of),
		CASE(test_in_the_way_of_two),
		CASE(test_an_endpoint_stays_while_it_is_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
