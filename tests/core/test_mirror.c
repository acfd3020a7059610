/* SPDX-License-Identifier: BSD-2-Clause */
/* Mirrors, one case at a time: what they are told, and what becomes of what they refuse. */
#include <errno.h>
#include <stdlib.h>

#include "lib/core/inval.h"
#include "tests/support/test.h"
#include "tests/support/test_mirror.h"

enum { PAGE = MIRROR_PAGE, RAM_PAGES = 64 };

struct fixture {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct test_mirror *mirror, *second;
	uint8_t *ram;
	int failed; /* the error that viommu_inval.failed named last */
};

static void note_failure(void *opaque, unsigned tag, int err)
{
	struct fixture *f = opaque;

	(void)tag;
	f->failed = err;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(PAGE, RAM_PAGES * PAGE);
	f->mirror = calloc(1, sizeof(*f->mirror));
	f->second = calloc(1, sizeof(*f->second));
	assert_int_equal(viommu_create(NULL, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, (uint64_t)RAM_PAGES * PAGE, f->ram, 7, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	f->inval->failed = note_failure;
	f->inval->opaque = f;
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 8, "mirrored", &f->endpoint), 0);
	assert_int_equal(test_mirror_register(f->mirror, f->endpoint), 0);
	*state = f;
	return 0;
}

static int complete(struct fixture *f)
{
	int err;

	viommu_inval_begin(f->inval);
	while ((err = viommu_inval_poll(f->inval)) == -EAGAIN)
		assert_true(test_mirror_answer(f->mirror, 0) || test_mirror_answer(f->second, 0));
	return err;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->mirror->slow = f->second->slow = false;
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f);
	viommu_client_unregister(f->mirror->client);
	viommu_client_unregister(f->second->client);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f->mirror);
	free(f->second);
	free(f);
	return 0;
}

static int map(struct fixture *f, uint64_t page, uint64_t pages, uint64_t to)
{
	return viommu_map(f->domain, (struct viommu_iova){page * PAGE}, (struct viommu_iova){(page + pages) * PAGE - 1},
			  (struct viommu_gpa){to * PAGE}, VIOMMU_READ);
}

static int map_pending(struct fixture *f, uint64_t page, uint64_t pages, uint64_t to)
{
	return viommu_map_pending(f->domain, (struct viommu_iova){page * PAGE},
				  (struct viommu_iova){(page + pages) * PAGE - 1}, (struct viommu_gpa){to * PAGE},
				  VIOMMU_READ, f->inval);
}

static void unmap(struct fixture *f, uint64_t page, uint64_t pages)
{
	assert_int_equal(viommu_unmap(f->domain, (struct viommu_iova){page * PAGE},
				      (struct viommu_iova){(page + pages) * PAGE - 1}, f->inval, NULL),
			 0);
}

static void attach(struct fixture *f)
{
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	assert_int_equal(complete(f), 0);
}

/* Does a device in this process reach the page? */
static bool reaches(struct fixture *f, uint64_t page)
{
	uint8_t byte;

	return !viommu_dma_read(f->endpoint, (struct viommu_iova){page * PAGE}, &byte, 1);
}

static void test_a_mirror_holds_what_the_domain_maps(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 4, 2, 10), 0);
	attach(f);
	assert_int_equal(f->mirror->space, VIOMMU_SPACE_DOMAIN);
	assert_int_equal(f->mirror->pages[5].gpa, 11 * PAGE);
	assert_ptr_equal(f->mirror->pages[5].host, f->ram + 11 * PAGE);
	assert_int_equal(map(f, 9, 1, 3), 0);
	assert_int_equal(f->mirror->pages[9].gpa, 3 * PAGE);
	unmap(f, 4, 2);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[4].access, 0);
	assert_int_equal(f->mirror->pages[9].access, VIOMMU_READ);
}

static void test_what_is_no_memory_is_told_when_it_comes(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(map(f, 0, 4, RAM_PAGES - 2), 0);
	assert_int_equal(f->mirror->pages[1].access, VIOMMU_READ);
	assert_int_equal(f->mirror->pages[2].access, 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){(uint64_t)RAM_PAGES * PAGE}, PAGE, f->ram, -1, 0), 0);
	assert_int_equal(f->mirror->pages[2].gpa, RAM_PAGES * PAGE);
	assert_int_equal(f->mirror->pages[3].access, 0);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){(uint64_t)RAM_PAGES * PAGE}, f->inval), 0);
	assert_int_equal(f->mirror->pages[2].access, 0);
	assert_int_equal(f->mirror->pages[1].access, VIOMMU_READ);
	assert_int_equal(complete(f), 0);
}

static void test_a_bypass_is_a_mapping_for_each_region(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->space, VIOMMU_SPACE_BYPASS);
	assert_int_equal(f->mirror->maps, 1);
	assert_int_equal(f->mirror->pages[RAM_PAGES - 1].access, VIOMMU_READ | VIOMMU_WRITE);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[0].access, 0);
}

static void test_a_refused_map_changes_nothing(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(test_mirror_register(f->second, f->endpoint), 0);
	/* The last one registered is asked first. */
	f->mirror->refuse_in = 1;
	f->mirror->refuse_err = -ENOSPC;
	assert_int_equal(map(f, 4, 1, 10), -ENOSPC);
	assert_false(reaches(f, 4));
	assert_int_equal(f->second->pages[4].access, 0);
	assert_int_equal(f->second->undone, 1);
	assert_int_equal(map(f, 4, 1, 10), 0);
	assert_true(reaches(f, 4));
}

/* A mirror that looks whether what it is asked for can be reached already. */
struct early {
	struct fixture *f;
	unsigned asked, reached;
};

static int early_map(void *opaque, const struct viommu_extent *extent, uint64_t ticket)
{
	struct early *early = opaque;
	struct table_hit hit;

	(void)ticket;
	early->asked++;
	early->reached += table_find(&early->f->domain->table, extent->first.value / PAGE, &hit);
	return 0;
}

static void early_unmap(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct early *early = opaque;

	(void)first;
	(void)last;
	if (ticket)
		viommu_client_ack(early->f->second->client, ticket);
}

static void test_a_map_is_seen_only_when_the_mirrors_have_it(void **state)
{
	static const struct viommu_mirror_ops ops = {.size = sizeof(ops), .map = early_map, .unmap = early_unmap};
	struct fixture *f = *state;
	struct early early = {f, 0, 0};

	assert_int_equal(viommu_mirror_register(f->endpoint, &ops, &early, &f->second->client), 0);
	attach(f);
	assert_int_equal(map(f, 4, 1, 10), 0);
	assert_int_equal(map_pending(f, 6, 2, 12), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(early.asked, 2);
	assert_int_equal(early.reached, 0);
	assert_true(reaches(f, 4));
	assert_true(reaches(f, 7));
	viommu_client_unregister(f->second->client);
	f->second->client = NULL;
}

static void test_what_the_table_refuses_no_mirror_keeps(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(map(f, 4, 2, 10), 0);
	assert_int_equal(map(f, 5, 2, 20), -EEXIST);
	assert_int_equal(f->mirror->pages[5].gpa, 11 * PAGE);
	assert_int_equal(f->mirror->pages[6].access, 0);
}

static void test_a_refused_attach_leaves_the_endpoint_where_it_was(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(map(f, 1, 1, 10), 0);
	assert_int_equal(map(f, 3, 1, 12), 0);
	f->mirror->refuse_in = 2;
	f->mirror->refuse_err = -ENOMEM;
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), -ENOMEM);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[1].gpa, 1 * PAGE);
	assert_true(reaches(f, 5));
	f->mirror->refuse_attach = -EPERM;
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), -EPERM);
	assert_int_equal(f->mirror->pages[1].gpa, 1 * PAGE);
	attach(f);
	assert_int_equal(f->mirror->pages[1].gpa, 10 * PAGE);
}

static void test_an_endpoint_that_cannot_go_back_is_blocked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(test_mirror_register(f->second, f->endpoint), 0);
	assert_int_equal(map(f, 1, 1, 10), 0);
	f->mirror->refuse_one_in = 1;
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), -ENOSPC);
	assert_int_equal(complete(f), 0);
	assert_false(reaches(f, 1));
	assert_int_equal(f->second->pages[1].access, 0);
	f->mirror->refuse_one_in = 0;
	attach(f);
	assert_true(reaches(f, 1));
	assert_int_equal(f->second->pages[1].gpa, 10 * PAGE);
}

static void test_memory_that_is_refused_does_not_come(void **state)
{
	struct fixture *f = *state;
	const struct viommu_gpa gpa = {(uint64_t)RAM_PAGES * PAGE};

	assert_int_equal(viommu_bypass(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(test_mirror_register(f->second, f->endpoint), 0);
	f->mirror->refuse_in = 1;
	f->mirror->refuse_err = -ENOMEM;
	assert_int_equal(viommu_mem_add(f->v, gpa, PAGE, f->ram, -1, 0), -ENOMEM);
	assert_false(reaches(f, RAM_PAGES));
	assert_int_equal(f->second->pages[RAM_PAGES].access, 0);
	assert_int_equal(viommu_mem_add(f->v, gpa, PAGE, f->ram, -1, 0), 0);
	assert_int_equal(f->second->pages[RAM_PAGES].access, VIOMMU_READ | VIOMMU_WRITE);
}

static void test_a_slow_mirror_keeps_a_map_pending(void **state)
{
	struct fixture *f = *state;

	attach(f);
	f->mirror->slow = true;
	assert_int_equal(map_pending(f, 4, 1, 10), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(f->mirror->batches, 1);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_true(test_mirror_answer(f->mirror, 0));
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->failed, 0);
	assert_true(reaches(f, 4));
}

static void test_a_map_that_is_refused_late_is_taken_away(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(test_mirror_register(f->second, f->endpoint), 0);
	f->mirror->slow = true;
	assert_int_equal(map_pending(f, 4, 1, 10), 0);
	assert_int_equal(map_pending(f, 6, 1, 11), 0);
	viommu_inval_begin(f->inval);
	assert_true(test_mirror_answer(f->mirror, -ENOSPC));
	assert_true(test_mirror_answer(f->mirror, 0));
	/* The unmap of what was refused is waited for, too. */
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(f->failed, -ENOSPC);
	assert_int_equal(complete(f), 0);
	assert_int_equal(viommu_inval_refusal(f->inval), -ENOSPC);
	/* One that begins is another, also where it takes nothing away. */
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_refusal(f->inval), 0);
	assert_false(reaches(f, 4));
	assert_true(reaches(f, 6));
	assert_int_equal(f->second->pages[4].access, 0);
	assert_int_equal(f->second->pages[6].access, VIOMMU_READ);
}

static void test_an_attach_that_is_refused_late_blocks(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 4, 1, 10), 0);
	f->mirror->slow = true;
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_true(test_mirror_answer(f->mirror, -ENOMEM));
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(f->failed, -ENOMEM);
	assert_int_equal(complete(f), 0);
	assert_int_equal(viommu_inval_refusal(f->inval), -ENOMEM);
	assert_false(reaches(f, 4));
}

/* A device can always be cut off. */
static void test_blocked_is_never_refused(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(map(f, 4, 1, 10), 0);
	f->mirror->refuse_attach = -EPERM;
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[4].access, 0);
	assert_false(reaches(f, 4));
}

static void test_an_unmap_waits_for_a_slow_mirror(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(map(f, 4, 1, 10), 0);
	f->mirror->slow = true;
	unmap(f, 4, 1);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	/* A map in its place is told in order, and waits for the same answers. */
	assert_true(test_mirror_answer(f->mirror, 0));
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_an_unregistered_mirror_is_waited_for_no_more(void **state)
{
	struct fixture *f = *state;

	attach(f);
	assert_int_equal(map(f, 4, 1, 10), 0);
	f->mirror->slow = true;
	unmap(f, 4, 1);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_client_unregister(f->mirror->client);
	f->mirror->client = NULL;
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

/* Blocked for devices of this process; the other party is stopped by the embedder, or by a detach. */
static void test_a_failed_endpoint_keeps_its_mirrors_until_it_is_moved(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	int err;

	f->v->config.deadline_ms = 1;
	attach(f);
	assert_int_equal(map(f, 4, 2, 10), 0);
	assert_int_equal(map(f, 8, 1, 20), 0);
	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	unmap(f, 8, 1);
	viommu_inval_begin(f->inval);
	while ((err = viommu_inval_poll(f->inval)) == -EAGAIN)
		;
	assert_int_equal(err, -ETIMEDOUT);
	assert_false(reaches(f, 4));
	assert_int_equal(f->mirror->pages[4].access, VIOMMU_READ);
	assert_int_equal(f->mirror->pages[8].access, 0);
	viommu_dma_end(&section);
	unmap(f, 4, 2);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[4].access, 0);
	assert_int_equal(map(f, 4, 2, 10), 0);
	assert_int_equal(f->mirror->pages[4].access, VIOMMU_READ);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	assert_int_equal(complete(f), 0);
	assert_int_equal(f->mirror->pages[4].access, 0);
}

static void test_ops_are_checked(void **state)
{
	struct fixture *f = *state;
	struct viommu_mirror_ops ops = {.map = NULL};
	struct viommu_client *client;

	assert_int_equal(viommu_mirror_register(f->endpoint, &ops, NULL, &client), -EINVAL);
	ops.size = sizeof(ops);
	assert_int_equal(viommu_mirror_register(f->endpoint, &ops, NULL, &client), -EINVAL);
	assert_int_equal(viommu_client_register(f->endpoint, NULL, NULL, &client), -EINVAL);
	assert_int_equal(viommu_client_register(f->endpoint, &(struct viommu_client_ops){.size = 32}, NULL, &client),
			 -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_mirror_holds_what_the_domain_maps),
		TEST(test_what_is_no_memory_is_told_when_it_comes),
		TEST(test_a_bypass_is_a_mapping_for_each_region),
		TEST(test_a_refused_map_changes_nothing),
		TEST(test_a_map_is_seen_only_when_the_mirrors_have_it),
		TEST(test_what_the_table_refuses_no_mirror_keeps),
		TEST(test_a_refused_attach_leaves_the_endpoint_where_it_was),
		TEST(test_an_endpoint_that_cannot_go_back_is_blocked),
		TEST(test_memory_that_is_refused_does_not_come),
		TEST(test_a_slow_mirror_keeps_a_map_pending),
		TEST(test_a_map_that_is_refused_late_is_taken_away),
		TEST(test_an_attach_that_is_refused_late_blocks),
		TEST(test_blocked_is_never_refused),
		TEST(test_an_unmap_waits_for_a_slow_mirror),
		TEST(test_an_unregistered_mirror_is_waited_for_no_more),
		TEST(test_a_failed_endpoint_keeps_its_mirrors_until_it_is_moved),
		TEST(test_ops_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
