/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user front end from the inside: its parts, each with the file that works on it, and the scripts that need
 * several of them.
 */
#ifndef LIB_VHOST_USER_FRONT_FRONT_H
#define LIB_VHOST_USER_FRONT_FRONT_H

#include "lib/vhost_user/front/iotlb.h"
#include "lib/vhost_user/front/link.h"
#include "lib/vhost_user/front/memory.h"
#include "lib/vhost_user/front/requests.h"
#include "lib/vhost_user/front/rings.h"
#include "lib/vhost_user/front/script.h"
#include "lib/vhost_user/front/space.h"

enum { FRONT_F_ACCESS_PLATFORM = 33, FRONT_F_RING_PACKED = 34 };

struct viommu_vhu {
	struct viommu_vhu_config config;
	struct viommu_vhu_ops ops; /* where the configuration's point to */
	struct viommu_vhu_region regions[VIOMMU_VHU_REGIONS];

	struct front_link link;         /* the connection, and the answers that are to come */
	struct front_agenda agenda;     /* the script that is under way */
	struct front_iotlb iotlb;       /* the device IOTLB, and the shared table */
	struct front_requests requests; /* the back end's own */
	struct front_memory memory;     /* the memory table */
	struct front_space space;       /* the configuration space */
	struct front_rings rings;       /* the device */

	/* What was negotiated at this connection. */
	bool negotiated;
	uint64_t offered;
	unsigned queues;
};

/* answer.c: what comes in over the socket */
void front_receive(struct front_link *link, struct front_agenda *agenda, struct front_iotlb *iotlb);

/* negotiate.c */
extern const struct front_script front_negotiation;

/* upkeep.c */
extern const struct front_script front_memory_script, front_read_space, front_write_space;

/* start.c */
extern const struct front_script front_start_script, front_stop_script, front_enable_script;
/* True: a ring is to be switched on or off at the back end. */
bool front_enable_differs(const struct viommu_vhu *vhu);
/* The rings are given back: tell that they have stopped. */
void front_finish_stop(struct viommu_vhu *vhu);

/* device.c */
/* What is to be done next, or NULL. */
const struct front_script *front_next_script(struct viommu_vhu *vhu);
/* The connection is gone. */
void front_note_loss(struct viommu_vhu *vhu);

#endif
