/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/shared_world.h"

#include <sys/mman.h>

#include "tests/support/test.h"

static void on_pending(void *opaque)
{
	((struct world *)opaque)->pending++;
}

static void on_failed(void *opaque)
{
	((struct world *)opaque)->failed++;
}

void world_open(struct world *w, uint64_t table_bytes)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = 600000};
	const struct viommu_shared_config shared = {.size = sizeof(struct viommu_shared_config),
						    .table_bytes = table_bytes,
						    .slots = 4,
						    .pending = on_pending,
						    .failed = on_failed,
						    .opaque = w};
	struct viommu_shared_files files;

	*w = (struct world){0};
	w->memory = mmap(NULL, (size_t)MEMORY_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_int_equal(viommu_create(&config, &w->v), 0);
	assert_int_equal(viommu_mem_add(w->v, (struct viommu_gpa){0}, (uint64_t)MEMORY_PAGES * PAGE, w->memory, -1, 0),
			 0);
	assert_int_equal(viommu_domain_create(w->v, 1, &w->domain), 0);
	assert_int_equal(viommu_endpoint_add(w->v, 1, "test", &w->endpoint), 0);
	assert_int_equal(viommu_inval_create(w->v, &w->inval), 0);
	assert_int_equal(viommu_attach(w->endpoint, w->domain, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	assert_int_equal(viommu_shared_create(w->endpoint, &shared, &w->shared), 0);
	viommu_shared_files_get(w->shared, &files);
	assert_int_equal(viommu_shared_view_open(&files, &w->view), 0);
}

void world_close(struct world *w)
{
	viommu_shared_view_close(w->view);
	viommu_shared_destroy(w->shared);
	assert_int_equal(viommu_detach(w->endpoint, w->inval), 0);
	viommu_inval_begin(w->inval);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
	assert_int_equal(viommu_endpoint_remove(w->endpoint), 0);
	viommu_domain_destroy(w->domain);
	viommu_inval_destroy(w->inval);
	viommu_destroy(w->v);
	munmap(w->memory, (size_t)MEMORY_PAGES * PAGE);
}

int world_map(struct world *w, uint64_t page, uint64_t count, uint64_t target, unsigned access)
{
	return viommu_map(w->domain, (struct viommu_iova){page * PAGE},
			  (struct viommu_iova){page * PAGE + (count * PAGE - 1)}, (struct viommu_gpa){target * PAGE},
			  access);
}

int world_begin_unmap(struct world *w, uint64_t page, uint64_t count)
{
	int err = viommu_unmap(w->domain, (struct viommu_iova){page * PAGE},
			       (struct viommu_iova){page * PAGE + (count * PAGE - 1)}, w->inval, NULL);

	if (!err)
		viommu_inval_begin(w->inval);
	return err;
}

void world_unmap(struct world *w, uint64_t page, uint64_t count)
{
	assert_int_equal(world_begin_unmap(w, page, count), 0);
	assert_int_equal(viommu_inval_poll(w->inval), 0);
}

int64_t world_look(const struct world *w, uint64_t iova, unsigned access)
{
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;

	viommu_shared_enter(w->view, 1, &reader);
	int err = viommu_shared_find(&reader, (struct viommu_iova){iova}, access, &extent);

	viommu_shared_leave(&reader);
	if (err)
		return err;
	assert_true(extent.first.value <= iova && iova <= extent.last.value);
	return (int64_t)((extent.gpa.value + (iova - extent.first.value)) / PAGE);
}

int64_t world_look_page(const struct world *w, uint64_t page)
{
	return world_look(w, page * PAGE, VIOMMU_READ);
}

struct viommu_shared_stats world_stats(struct world *w)
{
	struct viommu_shared_stats out = {.size = sizeof(struct viommu_shared_stats)};

	viommu_shared_stats_get(w->shared, &out);
	return out;
}

uint64_t world_draw(uint64_t *random, uint64_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % below;
}
