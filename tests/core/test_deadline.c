/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients that acknowledge at once, late and never, and holds that outlive the deadline: who is failed, who goes on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"

enum { RAM_SIZE = 1 << 20, DEADLINE_MS = 60 };

struct fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domain, *other_domain;
	struct viommu_endpoint *endpoint, *other;
	struct viommu_client *client;
	uint8_t *ram;
	unsigned asked;                   /* how often the client was told */
	uint64_t first, last, ticket;     /* the last time */
	bool obedient;                    /* acknowledges inside the callback */
	unsigned failed, failed_endpoint; /* endpoint_failed calls, and the last one's */
};

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

static void on_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct fixture *f = opaque;

	f->asked++;
	f->first = first.value;
	f->last = last.value;
	f->ticket = ticket;
	if (f->obedient)
		viommu_client_ack(f->client, ticket);
}

static const struct viommu_client_ops client_ops = {.size = sizeof(struct viommu_client_ops), on_invalidate};

static void on_failed(void *opaque, uint32_t endpoint)
{
	struct fixture *f = opaque;

	f->failed++;
	f->failed_endpoint = endpoint;
}

static void begin(struct fixture *f)
{
	viommu_inval_begin(f->inval);
}

static void complete(struct fixture *f)
{
	begin(f);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void map(struct viommu_domain *domain, uint64_t at)
{
	assert_int_equal(viommu_map(domain, iova(at), iova(at + 0xfff), (struct viommu_gpa){at}, 3), 0);
}

static void unmap(struct fixture *f, struct viommu_domain *domain, uint64_t at)
{
	assert_int_equal(viommu_unmap(domain, iova(at), iova(at + 0xfff), f->inval, NULL), 0);
	begin(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct viommu_config config = {.size = sizeof(struct viommu_config),
					     .deadline_ms = DEADLINE_MS,
					     .endpoint_failed = on_failed,
					     .opaque = f};

	f->ram = aligned_alloc(4096, RAM_SIZE);
	memset(f->ram, 0, RAM_SIZE);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, RAM_SIZE, f->ram, -1, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_domain_create(f->v, 2, &f->other_domain), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 1, "one", &f->endpoint), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 2, "two", &f->other), 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	assert_int_equal(viommu_attach(f->other, f->other_domain, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_client_register(f->endpoint, &client_ops, f, &f->client), 0);
	map(f->domain, 0x1000);
	map(f->other_domain, 0x1000);
	f->obedient = true;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	viommu_client_unregister(f->client);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	assert_int_equal(viommu_detach(f->other, f->inval), 0);
	complete(f);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	assert_int_equal(viommu_endpoint_remove(f->other), 0);
	viommu_domain_destroy(f->domain);
	viommu_domain_destroy(f->other_domain);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Poll until it is over one way or the other. */
static int wait_for_end(struct fixture *f)
{
	int err;

	while ((err = viommu_inval_poll(f->inval)) == -EAGAIN)
		nap();
	return err;
}

static bool reads(struct viommu_endpoint *endpoint)
{
	uint8_t byte;

	return !viommu_dma_read(endpoint, iova(0x1000), &byte, 1);
}

static void test_a_client_is_told_what_concerns_it(void **state)
{
	struct fixture *f = *state;

	unmap(f, f->other_domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->asked, 0);
	unmap(f, f->domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->asked, 1);
	assert_true(f->first == 0x1000 && f->last == 0x1fff);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f);
	assert_int_equal(f->asked, 2);
	assert_true(f->first == 0 && f->last == UINT64_MAX);
	assert_int_equal(viommu_mem_remove(f->v, (struct viommu_gpa){0}, f->inval), 0);
	complete(f);
	assert_int_equal(f->asked, 3);
}

/* Take pages away in this order, and have the client told so often, of FIRST to LAST in the end. */
static void expect_told(struct fixture *f, const unsigned *pages, unsigned count, unsigned told, uint64_t first,
			uint64_t last)
{
	for (unsigned i = 0; i < count; i++)
		map(f->domain, 0x1000ull * pages[i]);
	for (unsigned i = 0; i < count; i++) {
		const uint64_t at = 0x1000ull * pages[i];

		assert_int_equal(viommu_unmap(f->domain, iova(at), iova(at + 0xfff), f->inval, NULL), 0);
	}
	f->asked = 0;
	complete(f);
	assert_int_equal(f->asked, told);
	assert_int_equal(f->first, first);
	assert_int_equal(f->last, last);
}

static void test_neighbours_are_told_as_one(void **state)
{
	static const unsigned up[] = {2, 3, 4, 5}, down[] = {5, 4, 3, 2}, both[] = {4, 5, 3, 6}, hole[] = {2, 3, 5, 6};

	expect_told(*state, up, 4, 1, 0x2000, 0x5fff);
	expect_told(*state, down, 4, 1, 0x2000, 0x5fff);
	expect_told(*state, both, 4, 1, 0x3000, 0x6fff);
	expect_told(*state, hole, 4, 2, 0x5000, 0x6fff);
}

/* One that is about everything has the others in it, and the last address has nothing behind it. */
static void test_everything_is_told_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_map(f->domain, iova(UINT64_MAX - 0xfff), iova(UINT64_MAX), (struct viommu_gpa){0}, 1),
			 0);
	assert_int_equal(viommu_unmap(f->domain, iova(UINT64_MAX - 0xfff), iova(UINT64_MAX), f->inval, NULL), 0);
	assert_int_equal(viommu_unmap(f->domain, iova(0x1000), iova(0x1fff), f->inval, NULL), 0);
	complete(f);
	assert_int_equal(f->asked, 2);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	f->asked = 0;
	complete(f);
	assert_int_equal(f->asked, 1);
	assert_true(f->first == 0 && f->last == UINT64_MAX);
}

static void test_a_late_acknowledgement_delays_this_unmap_only(void **state)
{
	struct fixture *f = *state;
	struct viommu_inval *second;

	f->obedient = false;
	unmap(f, f->domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(viommu_inval_create(f->v, &second), 0);
	assert_int_equal(viommu_unmap(f->other_domain, iova(0x1000), iova(0x1fff), second, NULL), 0);
	viommu_inval_begin(second);
	assert_int_equal(viommu_inval_poll(second), 0);
	viommu_inval_destroy(second);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_client_ack(f->client, f->ticket);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->failed, 0);
}

static void test_an_acknowledgement_counts_for_all_before_it(void **state)
{
	struct fixture *f = *state;

	f->obedient = false;
	map(f->domain, 0x3000);
	assert_int_equal(viommu_unmap(f->domain, iova(0x3000), iova(0x3fff), f->inval, NULL), 0);
	unmap(f, f->domain, 0x1000);
	assert_int_equal(f->asked, 2);
	viommu_client_ack(f->client, f->ticket - 1);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_client_ack(f->client, f->ticket);
	viommu_client_ack(f->client, f->ticket - 1); /* an old one changes nothing */
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_a_silent_client_is_failed_and_others_go_on(void **state)
{
	struct fixture *f = *state;
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	f->obedient = false;
	unmap(f, f->domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(f->failed, 1);
	assert_int_equal(f->failed_endpoint, 1);
	assert_true(!reads(f->endpoint) && reads(f->other));
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.quarantined, 1);
	/* The object can be used again; the failed endpoint cannot, until its client has let go. */
	unmap(f, f->other_domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_attach(f->endpoint, f->other_domain, f->inval), -EIO);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), -EBUSY);
	f->obedient = true;
	viommu_client_ack(f->client, f->ticket);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.quarantined, 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	map(f->domain, 0x1000);
	assert_true(reads(f->endpoint));
}

static void test_a_client_that_goes_has_acknowledged(void **state)
{
	struct fixture *f = *state;

	f->obedient = false;
	unmap(f, f->domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_client_unregister(f->client);
	f->client = NULL;
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	map(f->domain, 0x1000);
	unmap(f, f->domain, 0x1000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->asked, 1);
}

static void test_a_client_that_dies_in_quarantine_frees_its_endpoint(void **state)
{
	struct fixture *f = *state;

	f->obedient = false;
	unmap(f, f->domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	viommu_client_unregister(f->client);
	f->client = NULL;
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
}

/* A hold, and what was seen of its cancelling. */
struct slow_io {
	struct viommu_hold hold;
	struct viommu_span span;
	unsigned cancelled;
};

static void on_cancel(struct viommu_hold *hold)
{
	((struct slow_io *)hold)->cancelled++;
}

static void start_io_at(struct viommu_endpoint *endpoint, uint64_t at, struct slow_io *io)
{
	struct viommu_section section;

	io->hold.cancel = on_cancel;
	assert_int_equal(viommu_dma_begin(endpoint, &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(at), 8, VIOMMU_READ, &io->span), 0);
	viommu_dma_hold(&section, &io->hold, &io->span, 1);
	viommu_dma_end(&section);
}

static void start_io(struct viommu_endpoint *endpoint, struct slow_io *io)
{
	start_io_at(endpoint, 0x1000, io);
}

static void test_a_slow_hold_is_cancelled_at_half_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct slow_io io = {0}, unrelated = {0};

	start_io(f->endpoint, &io);
	start_io(f->other, &unrelated);
	unmap(f, f->domain, 0x1000);
	while (!io.cancelled)
		assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN), nap();
	viommu_dma_release(&io.hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(io.cancelled, 1);
	assert_int_equal(unrelated.cancelled, 0);
	assert_int_equal(f->failed, 0);
	viommu_dma_release(&unrelated.hold);
}

static void test_a_hold_that_stays_fails_its_endpoint(void **state)
{
	struct fixture *f = *state;
	struct slow_io io = {0};

	start_io(f->other, &io);
	unmap(f, f->other_domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(f->failed_endpoint, 2);
	assert_true(reads(f->endpoint));
	viommu_dma_release(&io.hold);
	assert_int_equal(viommu_attach(f->other, f->other_domain, f->inval), 0);
}

static void test_a_section_that_stays_open_fails_its_endpoint(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->other, &section), 0);
	unmap(f, f->other_domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(f->failed_endpoint, 2);
	viommu_dma_end(&section);
	assert_int_equal(viommu_attach(f->other, f->other_domain, f->inval), 0);
}

/*
 * It was blocked for one hold; the others of the domain that it was in are waited for when it leaves, and when they are
 * unmapped.
 */
static void test_a_failed_endpoint_leaves_its_domain_later(void **state)
{
	struct fixture *f = *state;
	struct slow_io stuck = {0}, slow = {0};

	map(f->other_domain, 0x2000);
	start_io_at(f->other, 0x1000, &stuck);
	start_io_at(f->other, 0x2000, &slow);
	unmap(f, f->other_domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(viommu_attach(f->other, f->other_domain, f->inval), -EIO);
	assert_int_equal(viommu_detach(f->other, f->inval), 0);
	begin(f);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&stuck.hold);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&slow.hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(viommu_endpoint_remove(f->other), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 2, "two", &f->other), 0);
}

/*
 * The domain that it was in when it failed is not the one that it had held on to: it lives until its holds are
 * released.
 */
static void test_a_failed_endpoint_keeps_its_domain(void **state)
{
	struct fixture *f = *state;
	struct slow_io stuck = {0}, slow = {0};
	struct viommu_domain *third;

	assert_int_equal(viommu_domain_create(f->v, 3, &third), 0);
	map(third, 0x1000);
	start_io(f->other, &stuck);
	assert_int_equal(viommu_attach(f->other, third, f->inval), 0);
	start_io(f->other, &slow);
	begin(f);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(viommu_detach(f->other, f->inval), 0);
	viommu_domain_destroy(third);
	begin(f);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&stuck.hold);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&slow.hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

/* What a client of a blocked endpoint still has of its domain it is told to forget. */
static void test_a_failed_endpoint_has_its_client_told(void **state)
{
	struct fixture *f = *state;
	struct slow_io stuck = {0};

	map(f->domain, 0x2000);
	start_io(f->endpoint, &stuck);
	unmap(f, f->domain, 0x1000);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	viommu_dma_release(&stuck.hold);
	f->asked = 0;
	unmap(f, f->domain, 0x2000);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	assert_int_equal(f->asked, 1);
	assert_int_equal(viommu_attach(f->endpoint, f->other_domain, f->inval), 0);
	complete(f);
	assert_int_equal(f->asked, 2);
	unmap(f, f->domain, 0x2000);
	assert_int_equal(f->asked, 2);
	complete(f);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f);
}

/*
 * A guest that goes on and on with a device that is stuck: at some point it gets no more answers, until that device
 * lets go.
 */
static void test_the_quarantine_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct slow_io stuck = {0};
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};
	unsigned given_up = 0;

	start_io(f->other, &stuck);
	do {
		unmap(f, f->other_domain, 0x1000);
		for (unsigned ms = 0; ms < 3 * DEADLINE_MS && viommu_inval_poll(f->inval) == -EAGAIN; ms++)
			nap();
		map(f->other_domain, 0x1000);
		viommu_stats_get(f->v, &stats);
	} while (stats.quarantined == ++given_up && given_up < 100);
	assert_true(given_up > 8 && given_up < 100);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_release(&stuck.hold);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_stats_get(f->v, &stats);
	assert_int_equal(stats.quarantined, 0);
}

/* Who still holds on to memory is not idle, however often one asks; then it is. */
static void test_a_failed_endpoint_is_not_idle(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->other, &section), 0);
	assert_int_equal(viommu_quiesce(f->other, f->inval), 0);
	begin(f);
	assert_int_equal(wait_for_end(f), -ETIMEDOUT);
	assert_int_equal(f->failed_endpoint, 2);
	assert_int_equal(viommu_quiesce(f->other, f->inval), -EIO);
	viommu_dma_end(&section);
	assert_int_equal(viommu_quiesce(f->other, f->inval), 0);
	complete(f);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_client_is_told_what_concerns_it),
		CASE(test_neighbours_are_told_as_one),
		CASE(test_everything_is_told_once),
		CASE(test_a_late_acknowledgement_delays_this_unmap_only),
		CASE(test_an_acknowledgement_counts_for_all_before_it),
		CASE(test_a_silent_client_is_failed_and_others_go_on),
		CASE(test_a_client_that_goes_has_acknowledged),
		CASE(test_a_client_that_dies_in_quarantine_frees_its_endpoint),
		CASE(test_a_slow_hold_is_cancelled_at_half_the_deadline),
		CASE(test_a_hold_that_stays_fails_its_endpoint),
		CASE(test_a_section_that_stays_open_fails_its_endpoint),
		CASE(test_a_failed_endpoint_leaves_its_domain_later),
		CASE(test_a_failed_endpoint_keeps_its_domain),
		CASE(test_a_failed_endpoint_has_its_client_told),
		CASE(test_the_quarantine_is_bounded),
		CASE(test_a_failed_endpoint_is_not_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
