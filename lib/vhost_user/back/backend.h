/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vhost-user back end: the parts that it is made of, each the file's that its header is named after. Parts know
 * those that they are given pointers to. Only what carries out messages works on all of it: message.c the protocol,
 * negotiate.c and device.c, and above them backend.c, its life.
 *
 * Serving thread only, but for what a part says of itself. No part's lock is taken with another's held, but for those
 * that vbe_asking names.
 */
#ifndef LIB_VHOST_USER_BACK_BACKEND_H
#define LIB_VHOST_USER_BACK_BACKEND_H

#include <viommu/vhost_user_back.h>

#include "lib/util/lines.h"
#include "lib/vhost_user/back/connection.h"
#include "lib/vhost_user/back/dirty_log.h"
#include "lib/vhost_user/back/iotlb.h"
#include "lib/vhost_user/back/memory.h"
#include "lib/vhost_user/back/negotiate.h"
#include "lib/vhost_user/back/peer.h"
#include "lib/vhost_user/back/queue.h"
#include "lib/vhost_user/back/task.h"

struct viommu_backend {
	struct viommu_backend_config config;
	struct viommu_backend_ops ops; /* where the configuration's point to */
	struct viommu_backend_peer *peer;
	struct vbe_log log;
	struct vbe_connection connection;
	struct viommu *v;
	/* Lines of their own: each burst reads the first of the endpoint, the IOTLB and the log. */
	LINE_ALIGNED struct viommu_endpoint *endpoint;
	LINE_ALIGNED struct vbe_negotiated negotiated;
	struct vbe_tasks tasks;
	struct vbe_memory memory;
	struct vbe_iotlb iotlb;
	struct vbe_dirty_log dirty_log;
	struct vbe_queues queues;
	uint8_t status;           /* the driver's (SET_STATUS) */
	_Atomic uint64_t refused; /* messages */
};

#endif
