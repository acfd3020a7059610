/* SPDX-License-Identifier: BSD-2-Clause */
/* The rings that a device is started with, and where they go on. */
#ifndef LIB_VHOST_USER_FRONT_RINGS_H
#define LIB_VHOST_USER_FRONT_RINGS_H

#include <viommu/vhost_user_front.h>

#include "lib/spec/vhost_user.h"

struct front_rings {
	bool given; /* by viommu_vhu_start() */
	bool stopping;
	bool running; /* at this connection */
	bool ran;     /* at any, since they were given */
	bool again;   /* they had run when this script began */
	bool stuck;   /* viommu_vhu_stuck() */
	uint64_t features;
	unsigned count;
	unsigned at; /* the one that a script is at */
	struct viommu_vhu_ring ring[VIOMMU_VHU_RINGS];
	uint16_t bases[VIOMMU_VHU_RINGS];
	bool enabled[VIOMMU_VHU_RINGS]; /* as the back end was told */
	int inflight_fd;                /* -1: none */
	struct vhu_inflight inflight;
};

/* The index word of an available or used ring. False: it cannot be read. */
bool front_read_index(const struct viommu_vhu_config *config, struct viommu_iova ring, uint16_t *out);
/* Where all rings go on, as their used rings say. False: one cannot be read. *idle: nothing was under way. */
bool front_read_bases(struct front_rings *rings, const struct viommu_vhu_config *config, bool *idle);

#endif
