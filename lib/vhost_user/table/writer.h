/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer's side from the inside.
 *
 * Its client is a serial one (internal.h): callbacks, and what viommu_publish() hands on, exclude each other, and the
 * rest takes the client's lock. Functions with `_locked` run under it. Translating for a miss happens without it.
 */
#ifndef LIB_VHOST_USER_TABLE_WRITER_H
#define LIB_VHOST_USER_TABLE_WRITER_H

#include <viommu/client.h>
#include <viommu/dma.h>
#include <viommu/shared_writer.h>

#include "lib/vhost_user/table/files.h"
#include "lib/vhost_user/table/tree.h"

struct viommu_shared {
	struct viommu_endpoint *endpoint;
	struct viommu_shared_config config;
	struct viommu_client *client;
	struct shared_file table_file, epochs_file;
	struct shared_epoch *epochs; /* the other side writes them */

	/* All below is under the client's lock. */
	struct tree tree;
	/*
	 * Also in the header, for readers. Each invalidation makes the next one, which is its ticket and one: a reader
	 * that came in with generation g has seen all up to ticket g - 1.
	 */
	uint64_t generation;
	uint64_t acked;
	bool waits; /* for a reader, with something that is not acknowledged */
	bool failed;
	struct viommu_shared_stats stats;
};

/* As viommu_shared_miss(), which reports; with `report` false the caller decides whether it was a fault. */
int shared_miss(struct viommu_shared *shared, struct viommu_iova iova, unsigned access, bool report);

/* The last ticket that was acknowledged. */
uint64_t shared_acked(struct viommu_shared *shared);

/* fill.c: put what the endpoint's domain maps in a range, as far as that can be found without searching for long. */
void shared_fill_locked(struct viommu_shared *shared, struct range iova);

/* fill.c: put one stretch; -ENOSPC. */
int shared_put_locked(struct viommu_shared *shared, struct range iova, uint64_t gpa, unsigned access);

#endif
