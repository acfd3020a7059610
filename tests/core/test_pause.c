/* SPDX-License-Identifier: BSD-2-Clause */
/* Endpoints that are paused and resumed: no DMA, no fault, and what was under way is waited for. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "lib/core/internal.h"
#include "tests/support/test.h"

enum { PAGE = 4096, ROUNDS = 20000 };

struct fixture {
	struct viommu *v;
	struct viommu_domain *domain, *other;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *ram;
};

static int setup(void **state)
{
	/* A far deadline: on a busy machine a thread may be kept from its processor for longer than the usual one. */
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 600000};
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = aligned_alloc(PAGE, PAGE);
	assert_int_equal(viommu_create(&config, &f->v), 0);
	assert_int_equal(viommu_mem_add(f->v, (struct viommu_gpa){0}, PAGE, f->ram, 7, 0), 0);
	assert_int_equal(viommu_inval_create(f->v, &f->inval), 0);
	assert_int_equal(viommu_domain_create(f->v, 1, &f->domain), 0);
	assert_int_equal(viommu_domain_create(f->v, 2, &f->other), 0);
	assert_int_equal(viommu_endpoint_add(f->v, 8, "paused", &f->endpoint), 0);
	assert_int_equal(viommu_map(f->domain, (struct viommu_iova){0}, (struct viommu_iova){PAGE - 1},
				    (struct viommu_gpa){0}, VIOMMU_READ | VIOMMU_WRITE),
			 0);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	*state = f;
	return 0;
}

static void complete(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval))
		sched_yield();
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f->inval);
	assert_int_equal(viommu_endpoint_remove(f->endpoint), 0);
	viommu_domain_destroy(f->domain);
	viommu_domain_destroy(f->other);
	viommu_inval_destroy(f->inval);
	viommu_destroy(f->v);
	free(f->ram);
	free(f);
	return 0;
}

static int reads(struct fixture *f)
{
	uint8_t byte;

	return viommu_dma_read(f->endpoint, (struct viommu_iova){0}, &byte, 1);
}

static void test_a_paused_endpoint_does_no_dma_and_no_fault(void **state)
{
	struct fixture *f = *state;
	struct viommu_fault fault;

	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(reads(f), -ECANCELED);
	viommu_endpoint_pause(f->endpoint);
	viommu_endpoint_resume(f->endpoint);
	assert_int_equal(reads(f), 0);
	viommu_endpoint_resume(f->endpoint);
	assert_int_equal(reads(f), 0);
	assert_int_equal(viommu_fault_next(f->v, &fault), -EAGAIN);
}

static void test_what_is_under_way_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(f->endpoint, &section), 0);
	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), -EBUSY);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
}

static void test_it_moves_while_paused(void **state)
{
	struct fixture *f = *state;
	struct viommu_fault fault;

	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu_attach(f->endpoint, f->other, f->inval), 0);
	complete(f->inval);
	assert_int_equal(reads(f), -ECANCELED);
	viommu_endpoint_resume(f->endpoint);
	assert_int_equal(reads(f), -EFAULT);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.domain, 2);
	/* Blocked is not paused. */
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	complete(f->inval);
	assert_int_equal(reads(f), -EFAULT);
	assert_int_equal(viommu_fault_next(f->v, &fault), 0);
	assert_int_equal(fault.reason, VIOMMU_FAULT_BLOCKED);
}

/* A look is no DMA, and all that takes away what it sees waits for it: the move, and an unmap. */
static void test_a_look_is_possible_and_waited_for(void **state)
{
	struct fixture *f = *state;
	struct viommu_section section;
	struct viommu_extent extent;
	const struct viommu_iova first = {0}, last = {PAGE - 1};

	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu__look_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_extent(&section, first, VIOMMU_READ, false, &extent), 0);
	assert_ptr_equal(extent.host, f->ram);
	assert_int_equal(viommu_unmap(f->domain, first, last, f->inval, NULL), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);

	assert_int_equal(viommu__look_begin(f->endpoint, &section), 0);
	assert_int_equal(viommu_dma_extent(&section, first, VIOMMU_READ, false, &extent), -EFAULT);
	assert_int_equal(viommu_detach(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_endpoint_resume(f->endpoint);
}

static int hand_on(void *opaque, const struct viommu_extent *extent)
{
	(void)extent;
	*(unsigned *)opaque += 1;
	return 0;
}

static uint64_t forgotten;
static unsigned told;

static void invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	(void)first;
	(void)last;
	(void)opaque;
	forgotten = ticket;
}

static void map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	(void)opaque;
	told += first.value == 0 && last.value == UINT64_MAX;
}

/* A client hands nothing on, takes back what it has, and is told when the device may go on. */
static void test_clients_hear_of_it(void **state)
{
	struct fixture *f = *state;
	const struct viommu_client_ops ops = {
		.size = sizeof(struct viommu_client_ops), .invalidate = invalidate, .map = map};
	struct viommu_client *client;
	unsigned handed_on = 0;

	forgotten = told = 0;
	assert_int_equal(viommu_client_register(f->endpoint, &ops, NULL, &client), 0);
	assert_int_equal(viommu_publish(client, (struct viommu_iova){0}, VIOMMU_READ, true, hand_on, &handed_on), 0);
	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu_publish(client, (struct viommu_iova){0}, VIOMMU_READ, true, hand_on, &handed_on),
			 -ECANCELED);
	assert_int_equal(handed_on, 1);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	assert_int_equal(viommu_inval_poll(f->inval), -EAGAIN);
	viommu_client_ack(client, forgotten);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	told = 0;
	viommu_endpoint_resume(f->endpoint);
	assert_int_equal(told, 1);
	assert_int_equal(viommu_publish(client, (struct viommu_iova){0}, VIOMMU_READ, true, hand_on, &handed_on), 0);
	viommu_client_unregister(client);
}

/* The device is told to stop just when a translation for its client has been found. */
static int walk_and_stop(void *opaque, const struct memory *memory, uint64_t iova, unsigned access,
			 struct walk_result *result)
{
	struct fixture *f = opaque;

	(void)memory;
	*result = (struct walk_result){.iova = {iova & ~(PAGE - 1ull), iova | (PAGE - 1)}, .access = access};
	viommu_endpoint_pause(f->endpoint);
	assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
	viommu_inval_begin(f->inval);
	return 0;
}

static const struct walk_ops stopping_ops = {.walk = walk_and_stop};

static void test_what_was_found_before_is_not_handed_on(void **state)
{
	struct fixture *f = *state;
	const struct viommu_client_ops ops = {.size = sizeof(struct viommu_client_ops), .invalidate = invalidate};
	struct viommu_client *client;
	struct viommu_domain *walked;
	unsigned handed_on = 0;

	assert_int_equal(viommu__domain_create_walked(f->v, &stopping_ops, f, &walked), 0);
	assert_int_equal(viommu_attach(f->endpoint, walked, f->inval), 0);
	complete(f->inval);
	assert_int_equal(viommu_client_register(f->endpoint, &ops, NULL, &client), 0);
	assert_int_equal(viommu_publish(client, (struct viommu_iova){0}, VIOMMU_READ, true, hand_on, &handed_on),
			 -ECANCELED);
	assert_int_equal(handed_on, 0);
	viommu_client_ack(client, forgotten);
	assert_int_equal(viommu_inval_poll(f->inval), 0);
	viommu_endpoint_resume(f->endpoint);
	viommu_client_unregister(client);
	assert_int_equal(viommu_attach(f->endpoint, f->domain, f->inval), 0);
	complete(f->inval);
	viommu_domain_destroy(walked);
}

struct racer {
	struct fixture *f;
	_Atomic bool stop, quiet; /* quiet: nobody may be at work */
	_Atomic unsigned caught, worked, odd;
};

static void *work(void *opaque)
{
	struct racer *racer = opaque;
	struct viommu_section section;
	struct viommu_span span;

	while (!atomic_load(&racer->stop)) {
		int err = viommu_dma_begin(racer->f->endpoint, &section);

		if (err == -ECANCELED) {
			sched_yield(); /* to who will resume it */
			continue;
		}
		if (err || viommu_dma_translate(&section, (struct viommu_iova){0}, 8, VIOMMU_WRITE, &span)) {
			atomic_fetch_add(&racer->odd, 1);
			break;
		}
		atomic_fetch_add(&racer->caught, atomic_load(&racer->quiet));
		atomic_fetch_add(&racer->worked, 1);
		viommu_dma_end(&section);
	}
	return NULL;
}

static void test_nobody_is_at_work_after_the_wait(void **state)
{
	struct fixture *f = *state;
	struct racer racer = {.f = f};
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, work, &racer);
	for (unsigned i = 0; i < ROUNDS; i++) {
		viommu_endpoint_pause(f->endpoint);
		assert_int_equal(viommu_quiesce(f->endpoint, f->inval), 0);
		complete(f->inval);
		atomic_store(&racer.quiet, true);
		if (i % 64 == 0)
			sched_yield();
		atomic_store(&racer.quiet, false);
		viommu_endpoint_resume(f->endpoint);
		if (i % 16 == 0)
			sched_yield();
	}
	/* On a busy machine they may not have begun yet. */
	while (!atomic_load(&racer.worked))
		sched_yield();
	atomic_store(&racer.stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&racer.caught), 0);
	assert_int_equal(atomic_load(&racer.odd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_paused_endpoint_does_no_dma_and_no_fault),
		TEST(test_what_is_under_way_is_waited_for),
		TEST(test_it_moves_while_paused),
		TEST(test_a_look_is_possible_and_waited_for),
		TEST(test_clients_hear_of_it),
		TEST(test_what_was_found_before_is_not_handed_on),
		TEST(test_nobody_is_at_work_after_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
