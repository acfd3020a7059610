/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network device for a vhost-user front end: the queue pairs of the monitor's device (vmm/net/card.h) over the
 * rings of a connection (viommu/vhost_user_back.h). One thread, that of the loop.
 */
#ifndef NET_BACKEND_DEVICE_H
#define NET_BACKEND_DEVICE_H

#include <viommu/vhost_user_back.h>

#include "vmm/net/card.h"
#include "vmm/util/log.h"

struct net_backend;

/* A queue of the connection. */
struct net_backend_queue {
	struct net_backend *device;
	struct vq vq;
	bool broken;      /* by the driver; until it is started again */
	bool unreachable; /* the front end says that its ring is nowhere; it is looked for again now and then */
	struct loop_watch kick;
	bool polled; /* the front end gave no kick descriptor: look by yourself */
};

struct net_backend {
	struct net_card card;
	struct viommu_backend_peer *peer;  /* outlives a connection */
	struct viommu_backend *connection; /* NULL: there is none */
	struct loop_watch watch, again;    /* the connection; the time to look for rings again */
	struct loop_watch poll;            /* the time to look at queues that nobody kicks */
	/* The connection is over: 0, the front end has closed it, or why. It may be closed from here. */
	void (*over)(void *opaque, int error);
	void *opaque;
	struct net_backend_queue queues[NET_PAIR_QUEUES * NET_MAX_PAIRS];
	struct net_pair pairs[NET_MAX_PAIRS];
};

/* For what front ends can have the log say: a limit of the program's. */
bool net_backend_may_log(void);

/* Open the tap. -errno after a line in the log. `over` and `opaque` are set before. */
int net_backend_init(struct net_backend *device, struct loop *loop, const char *tap, unsigned pairs);
void net_backend_fini(struct net_backend *device);

/*
 * Serve a connected socket, which is taken; one at a time. -errno. While the peer is crowded with what earlier
 * ones have left, none can be served.
 */
int net_backend_connect(struct net_backend *device, int fd);
void net_backend_disconnect(struct net_backend *device);

#endif
