/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing that is destroyed waits for ever for somebody who does not let go: invalidations go on in the context, models
 * wait for a bounded time, and the context frees what is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <viommu/viommu.h>
#include <viommu/virtio.h>
#include <viommu/vtd.h>

#include "tests/support/test.h"

/* QUARANTINE: beyond so many, no invalidation has a deadline. HANG_S: whoever takes so long hangs. */
enum { PAGE = 4096, DEADLINE_MS = 20, QUARANTINE = 32, HANG_S = 30 };

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint, *managed;
	uint8_t *ram;
};

static void open_world(struct world *w)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = DEADLINE_MS};

	alarm(HANG_S);
	w->ram = aligned_alloc(PAGE, PAGE);
	assert_non_null(w->ram);
	assert_int_equal(viommu_create(&config, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, PAGE, w->ram, -1, 0), 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 8, "stuck", &w->endpoint), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 16, "managed", &w->managed), 0);
}

static void close_world(struct world *w)
{
	viommu_domain_destroy(w->domain);
	viommu_destroy(w->v);
	free(w->ram);
	alarm(0);
}

static uint64_t quarantined(const struct world *w)
{
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(w->v, &stats);
	return stats.quarantined;
}

static struct viommu_inval *inval(const struct world *w)
{
	struct viommu_inval *inval;

	assert_int_equal(viommu_inval_create(w->v, &inval), 0);
	return inval;
}

/* From now on invalidations have no deadline: one of `section` fills the quarantine. */
static void fill_quarantine(const struct world *w, struct viommu_section *section)
{
	struct viommu_inval *filling = inval(w);

	assert_int_equal(viommu_dma_begin(w->managed, section), 0);
	for (unsigned i = 0; i < QUARANTINE; i++) {
		/* Only the first one may name it, as it fails then; removal of memory concerns every section. */
		int err;

		if (i)
			assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, PAGE, w->ram, -1, 0), 0);
		assert_int_equal(viommu_mem_remove(w->v, (struct viommu_gpa){0}, filling), 0);
		viommu_inval_begin(filling);
		while ((err = viommu_inval_poll(filling)) == -EAGAIN)
			usleep(1000);
		assert_int_equal(err, -ETIMEDOUT);
	}
	viommu_inval_destroy(filling);
	assert_int_equal(quarantined(w), QUARANTINE);
}

/* Detach the endpoint while `section` uses it: the invalidation stays pending until the section ends. */
static struct viommu_inval *detach_in_use(const struct world *w, struct viommu_section *section)
{
	struct viommu_inval *pending = inval(w);

	assert_int_equal(viommu_attach(w->endpoint, w->domain, pending), 0);
	assert_int_equal(viommu_dma_begin(w->endpoint, section), 0);
	assert_int_equal(viommu_detach(w->endpoint, pending), 0);
	return pending;
}

static void test_pending_invalidation_goes_on_without_its_owner(void **state)
{
	struct viommu_section section;
	struct world w;

	(void)state;
	open_world(&w);
	struct viommu_inval *pending = detach_in_use(&w, &section);

	viommu_inval_begin(pending);
	assert_int_equal(viommu_inval_poll(pending), -EAGAIN);
	viommu_inval_destroy(pending);
	assert_int_equal(quarantined(&w), 1);
	assert_int_equal(viommu_endpoint_remove(w.endpoint), -EBUSY);
	viommu_dma_end(&section);
	assert_int_equal(quarantined(&w), 0);
	assert_int_equal(viommu_endpoint_remove(w.endpoint), 0);
	close_world(&w);
}

static void test_recorded_changes_are_not_forgotten(void **state)
{
	struct viommu_section section;
	struct world w;

	(void)state;
	open_world(&w);
	struct viommu_inval *collecting = inval(&w);

	assert_int_equal(viommu_attach(w.endpoint, w.domain, collecting), 0);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	assert_int_equal(viommu_detach(w.endpoint, collecting), 0);
	viommu_inval_destroy(collecting); /* never begun */
	assert_int_equal(viommu_endpoint_remove(w.endpoint), -EBUSY);
	viommu_dma_end(&section);
	assert_int_equal(viommu_endpoint_remove(w.endpoint), 0);
	close_world(&w);
}

static void ignore(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	(void)opaque;
	(void)first;
	(void)last;
	(void)ticket;
}

static void test_client_that_never_answers_holds_no_destruction_up(void **state)
{
	static const struct viommu_client_ops ops = {.size = sizeof(struct viommu_client_ops), .invalidate = ignore};
	struct viommu_client *client;
	struct world w;

	(void)state;
	open_world(&w);
	struct viommu_inval *pending = inval(&w);

	assert_int_equal(viommu_client_register(w.endpoint, &ops, NULL, &client), 0);
	assert_int_equal(viommu_quiesce(w.endpoint, pending), 0);
	viommu_inval_destroy(pending);
	assert_int_equal(quarantined(&w), 1);
	viommu_client_unregister(client);
	assert_int_equal(quarantined(&w), 0);
	close_world(&w);
}

static void test_context_frees_what_never_let_go(void **state)
{
	struct viommu_section section;
	struct world w;

	(void)state;
	open_world(&w);
	struct viommu_inval *pending = detach_in_use(&w, &section);

	viommu_inval_destroy(pending);
	close_world(&w); /* a checker of leaks sees that nothing is left */
}

/* A section that the destruction of a model must not wait for for ever; `full` fills the quarantine. */
static void begin_stuck(struct world *w, struct viommu_section *full, struct viommu_section *stuck)
{
	fill_quarantine(w, full);
	assert_int_equal(viommu_dma_begin(w->endpoint, stuck), 0);
}

/* The model is destroyed, and what it left waits for the sections only. */
static void end_stuck(struct world *w, struct viommu_section *full, struct viommu_section *stuck)
{
	assert_true(quarantined(w) > QUARANTINE);
	viommu_dma_end(stuck);
	viommu_dma_end(full);
	assert_int_equal(quarantined(w), 0);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	close_world(w);
}

static void test_virtio_model_is_destroyed_in_bounded_time(void **state)
{
	const struct viommu_virtio_config config = {.size = sizeof(struct viommu_virtio_config), .bypass = true};
	struct viommu_section section, stuck;
	struct viommu_virtio *model;
	struct world w;

	(void)state;
	open_world(&w);
	assert_int_equal(viommu_virtio_create(w.v, &config, &model), 0);
	assert_int_equal(viommu_virtio_manage(model, w.endpoint), 0);
	begin_stuck(&w, &section, &stuck);
	viommu_virtio_destroy(model);
	end_stuck(&w, &section, &stuck);
}

static void test_vtd_unit_is_destroyed_in_bounded_time(void **state)
{
	const struct viommu_vtd_config config = {.size = sizeof(struct viommu_vtd_config)};
	struct viommu_section section, stuck;
	struct viommu_vtd *unit;
	struct world w;

	(void)state;
	open_world(&w);
	assert_int_equal(viommu_vtd_create(w.v, &config, &unit), 0);
	assert_int_equal(viommu_vtd_manage(unit, w.endpoint), 0);
	begin_stuck(&w, &section, &stuck);
	viommu_vtd_destroy(unit);
	end_stuck(&w, &section, &stuck);
}

static int read_byte(const struct world *w)
{
	uint8_t byte;

	return viommu_dma_read(w->endpoint, (struct viommu_iova){0}, &byte, 1);
}

static void map(struct viommu_domain *domain)
{
	assert_int_equal(viommu_map(domain, (struct viommu_iova){0}, (struct viommu_iova){PAGE - 1},
				    (struct viommu_gpa){0}, VIOMMU_READ),
			 0);
}

/* The next domain takes the number of one that is no more, but not the endpoints that nobody took out of it. */
static void test_endpoints_of_destroyed_domain_are_blocked(void **state)
{
	struct viommu_domain *others[4];
	struct viommu_section section;
	struct viommu_span span;
	struct world w;

	(void)state;
	open_world(&w);
	struct viommu_inval *moving = inval(&w);

	assert_int_equal(viommu_attach(w.endpoint, w.domain, moving), 0);
	map(w.domain);
	assert_int_equal(viommu_dma_begin(w.endpoint, &section), 0);
	viommu_domain_destroy(w.domain);
	w.domain = NULL;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(viommu_domain_create(w.v, i, &others[i]), 0);
		map(others[i]);
		assert_int_equal(read_byte(&w), -EFAULT);
	}
	/* What began before may go on, and whoever moves the endpoint waits for it. */
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){0}, 1, VIOMMU_READ, &span), 0);
	assert_int_equal(viommu_attach(w.endpoint, others[0], moving), 0);
	assert_int_equal(read_byte(&w), 0);
	viommu_inval_begin(moving);
	assert_int_equal(viommu_inval_poll(moving), -EAGAIN);
	viommu_dma_end(&section);
	assert_int_equal(viommu_inval_poll(moving), 0);
	assert_int_equal(viommu_detach(w.endpoint, moving), 0);
	for (unsigned i = 0; i < 4; i++)
		viommu_domain_destroy(others[i]);
	viommu_inval_destroy(moving);
	assert_int_equal(viommu_endpoint_remove(w.endpoint), 0);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pending_invalidation_goes_on_without_its_owner),
		cmocka_unit_test(test_recorded_changes_are_not_forgotten),
		cmocka_unit_test(test_client_that_never_answers_holds_no_destruction_up),
		cmocka_unit_test(test_context_frees_what_never_let_go),
		cmocka_unit_test(test_virtio_model_is_destroyed_in_bounded_time),
		cmocka_unit_test(test_vtd_unit_is_destroyed_in_bounded_time),
		cmocka_unit_test(test_endpoints_of_destroyed_domain_are_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
