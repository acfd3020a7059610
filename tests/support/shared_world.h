/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of the shared table: a context with an endpoint, its table, and a view of it as another process has it. */
#ifndef TESTS_SUPPORT_SHARED_WORLD_H
#define TESTS_SUPPORT_SHARED_WORLD_H

#include <viommu/shared_writer.h>
#include <viommu/viommu.h>

#include "lib/vhost_user/table/view.h"
#include "lib/vhost_user/table/writer.h"

enum { PAGE = 4096, MEMORY_PAGES = 1 << 15, RW = VIOMMU_READ | VIOMMU_WRITE, ALARM_S = 60, LEVEL_1 = 512 };

struct world {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_shared *shared;
	struct viommu_shared_view *view;
	uint8_t *memory;
	unsigned pending, failed;
};

/* A table of so many bytes (0: as usual) with 4 slots; its endpoint is in the domain. */
void world_open(struct world *w, uint64_t table_bytes);
void world_close(struct world *w);
int world_map(struct world *w, uint64_t page, uint64_t count, uint64_t target, unsigned access);
/* Not yet complete. */
int world_begin_unmap(struct world *w, uint64_t page, uint64_t count);
/* With its invalidation, which nobody stands in the way of. */
void world_unmap(struct world *w, uint64_t page, uint64_t count);
/* One look from outside: the page that an address leads to, or -errno. */
int64_t world_look(const struct world *w, uint64_t iova, unsigned access);
int64_t world_look_page(const struct world *w, uint64_t page);
struct viommu_shared_stats world_stats(struct world *w);
/* A number below `below`. */
uint64_t world_draw(uint64_t *random, uint64_t below);

#endif
