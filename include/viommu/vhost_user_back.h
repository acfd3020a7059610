/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end of a vhost-user connection, for any kind of device: the protocol, the front end's memory, the rings'
 * state, and a device IOTLB in front of all of it. What the device itself does is the embedder's.
 *
 *	viommu_backend_create(fd, &config, &backend);      // a connected Unix stream socket
 *	poll viommu_backend_fd(backend), viommu_backend_serve(backend) when it is readable
 *
 * A burst of work of a queue:
 *
 *	viommu_backend_begin(backend, &section);
 *	viommu_dma_translate(&section, iova, ...);         // 0, or -EAGAIN: ops->retry tells when to come back
 *	viommu_backend_end(backend, &section);
 *
 * Without VIRTIO_F_ACCESS_PLATFORM addresses are those of guest memory, and nothing is ever asked.
 *
 * What the front end sends as a notification is looked up in /proc/self/fd: without that file system none is accepted.
 *
 * Thread rules: one thread serves (create, serve, stopped, destroy), and ops run on it, inside viommu_backend_serve(),
 * viommu_backend_stopped() and viommu_backend_destroy(); what says "any thread" may be called from any. Nothing blocks.
 */
#ifndef VIOMMU_VHOST_USER_BACK_H
#define VIOMMU_VHOST_USER_BACK_H

#include <viommu/dma.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_backend;
struct viommu_backend_peer;

/* The most queues that a back end may have. */
enum { VIOMMU_BACKEND_QUEUES = 64 };

/*
 * A split ring as the front end set it up. Its addresses are aligned and are translated like all others, in sections.
 */
struct viommu_backend_ring {
	uint16_t size; /* a power of two */
	uint16_t base; /* the next available entry to take */
	struct viommu_iova desc, avail, used;
	/* Non-blocking, the library's, valid until the queue has stopped. -1: none; the device polls the ring. */
	int kick_fd;
};

/* All of them get viommu_backend_config.opaque. */
struct viommu_backend_ops {
	size_t size; /* sizeof(struct viommu_backend_ops): types.h */
	/* Begin to use a queue. -errno: it stays stopped until the front end changes something of it. */
	int (*start)(void *opaque, unsigned queue, const struct viommu_backend_ring *ring);
	/* Stop using a queue, then viommu_backend_stopped(): at once, or later. */
	void (*stop)(void *opaque, unsigned queue);
	/*
	 * Translations that gave -EAGAIN may give something else now. It may be called before the call of
	 * viommu_dma_translate() that asked has returned. So an embedder that translates on other threads sets a flag
	 * here, which each of these threads clears before its burst and looks at after it.
	 */
	void (*retry)(void *opaque);
	/* The driver's features; no queue runs. May be NULL. */
	void (*features)(void *opaque, uint64_t features);
	/*
	 * The device configuration; -errno: refused. NULL: the front end has its own. set may be NULL where get is not.
	 */
	int (*config_get)(void *opaque, uint32_t offset, void *buffer, uint32_t len);
	int (*config_set)(void *opaque, uint32_t offset, const void *buffer, uint32_t len);
	/* The MTU that the front end's user wants. -errno: refused. NULL: not offered. */
	int (*set_mtu)(void *opaque, uint64_t mtu);
	/*
	 * A line for the operator, without a newline; about ten in five seconds at most, of all connections of a peer.
	 * Any thread. NULL: nobody reads them.
	 */
	void (*log)(void *opaque, const char *line);
};

struct viommu_backend_config {
	size_t size; /* sizeof(struct viommu_backend_config): types.h */
	const struct viommu_backend_ops *ops;
	void *opaque;
	uint64_t features; /* of the device, its rings and VIRTIO_F_ACCESS_PLATFORM; the protocol's bit 30 is added */
	unsigned queues;   /* 1..VIOMMU_BACKEND_QUEUES */
	unsigned queue_number; /* the answer to GET_QUEUE_NUM: for network devices the number of pairs. 0: `queues` */
	unsigned queue_size;   /* the largest, a power of two up to 32768; 0: 1024 */
	/* A miss that is not answered for so long is a fault; far more than a busy front end needs. 0: 60000. */
	unsigned miss_ms;
	unsigned deadline_ms; /* viommu_config.deadline_ms. 0: 2000 */
	/*
	 * Read the front end's translations from a shared table, if it has one (docs/SHARED-TABLE.md). The device must
	 * not use viommu_dma_hold() then.
	 */
	bool shared_table;
	/*
	 * Log what bursts translate for writing, where a front end that migrates its guest wants that (LOG_SHMFD). The
	 * device must not use viommu_dma_hold() then.
	 */
	bool dirty_log;
	uint64_t table_bytes; /* of the device IOTLB; at the bound it is emptied. 0: 64 MiB */
	/*
	 * The peer that this connection belongs to. A front end that connects again and again does not get its bounds
	 * anew: all connections of one peer share them (viommu_backend_peer_create()). NULL: it has this one alone.
	 */
	struct viommu_backend_peer *peer;
};

/* Counters since the connection began. They only grow. */
struct viommu_backend_stats {
	size_t size;          /* sizeof(struct viommu_backend_stats): types.h */
	uint64_t misses;      /* questions to the front end */
	uint64_t updates;     /* translations that it has sent */
	uint64_t invalidates; /* INVALIDATE messages that were answered */
	uint64_t faults;      /* accesses of the device that were blocked */
	uint64_t refused;     /* messages of the front end that were refused */
};

/*
 * viommu_backend_peer_create - what outlives the connections of those that share a listening socket: how many lines
 * they have caused, and the descriptors that they have sent and that are not closed yet. To close one takes as long as
 * its sender likes: that is done on a thread of the library, one for each peer while there are some. Any thread.
 *
 * Errors:
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_backend_peer_create(struct viommu_backend_peer **out);

/* viommu_backend_peer_destroy - after its connections; what is not closed yet will be. NULL is allowed. Any thread. */
VIOMMU_PUBLIC void viommu_backend_peer_destroy(struct viommu_backend_peer *peer);

/*
 * viommu_backend_peer_crowded - true while too many descriptors of earlier connections are still to be closed.
 * viommu_backend_create() then returns -ETOOMANYREFS: call this before accepting a connection. Any thread.
 */
VIOMMU_PUBLIC bool viommu_backend_peer_crowded(const struct viommu_backend_peer *peer);

/*
 * viommu_backend_create - serve a connection.
 *
 * @fd: a connected Unix stream socket; the back end's from here on, also where this fails
 *
 * Errors:
 *   -E2BIG         @config wants what this library does not know (types.h)
 *   -EINVAL        config
 *   -ENOMEM
 *   -EMFILE        and the like
 *   -ETOOMANYREFS  the peer is crowded
 *   those of viommu_event_setup() (event.h)
 */
VIOMMU_PUBLIC int viommu_backend_create(int fd, const struct viommu_backend_config *config,
					struct viommu_backend **out);

/*
 * viommu_backend_destroy - close the connection, unmap the memory. Queues that run are stopped first, and must say so
 * at once; no section or hold may be open. NULL is allowed.
 */
VIOMMU_PUBLIC void viommu_backend_destroy(struct viommu_backend *backend);

/*
 * viommu_backend_fd - readable when there is something to serve, timers included. The same for the whole life. Any
 * thread.
 *
 * Returns: the descriptor, which stays the back end's
 */
VIOMMU_PUBLIC int viommu_backend_fd(const struct viommu_backend *backend);

/*
 * viommu_backend_serve - do what there is to do, a bounded part of it (the descriptor stays readable). On any error the
 * connection is over, and destroy is all that is left.
 *
 * Errors:
 *   -EPIPE   closed by the front end
 *   -EPROTO  the front end broke the protocol, or what it sent cannot be closed; a line says how
 *   -ENOMEM
 *   -errno   of the system
 */
VIOMMU_PUBLIC int viommu_backend_serve(struct viommu_backend *backend);

/*
 * viommu_backend_stopped - the answer to ops->stop.
 *
 * @base: the next available entry, not taken or given back
 */
VIOMMU_PUBLIC void viommu_backend_stopped(struct viommu_backend *backend, unsigned queue, uint16_t base);

/* viommu_backend_endpoint - the endpoint that the bursts of this back end are sections of (core.h). Any thread. */
VIOMMU_PUBLIC struct viommu_endpoint *viommu_backend_endpoint(struct viommu_backend *backend);

/*
 * viommu_backend_begin / viommu_backend_end - a burst: a section (dma.h) of the device. Any thread. In it
 * viommu_dma_translate() may give -EAGAIN too: the front end has been asked, leave the burst, ops->retry comes. It
 * gives -EFAULT or -EACCES where the front end has not answered in time, or said no: the request fails, the front end
 * has been told.
 *
 * Errors:
 *   as viommu_dma_begin()
 *   -EAGAIN  more bursts than the front end's shared table has slots for
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_backend_begin(struct viommu_backend *backend, struct viommu_section *section);
VIOMMU_PUBLIC void viommu_backend_end(struct viommu_backend *backend, struct viommu_section *section);

/*
 * viommu_backend_prefetch - ask the front end for what is missing of [iova, iova + len), without waiting for any of it:
 * for the buffers behind the one that gave -EAGAIN. Nothing is a fault here. Any thread, inside a burst.
 *
 * A buffer is not given back before all of it that was asked for could be translated: when the front end reads the
 * question the driver may have unmapped it, and front ends report that as a fault.
 *
 * @access: as viommu_dma_translate()
 */
VIOMMU_PUBLIC void viommu_backend_prefetch(struct viommu_backend *backend, struct viommu_section *section,
					   struct viommu_iova iova, uint64_t len, unsigned access);

/*
 * viommu_backend_interrupt - interrupt the driver for a queue; later, where the front end has not said how yet. Any
 * thread.
 */
VIOMMU_PUBLIC void viommu_backend_interrupt(struct viommu_backend *backend, unsigned queue);

/* viommu_backend_error - tell the front end that a queue cannot go on. Any thread. */
VIOMMU_PUBLIC void viommu_backend_error(struct viommu_backend *backend, unsigned queue);

/*
 * viommu_backend_stats_get - read the counters. Any thread.
 *
 * Errors:
 *   -EINVAL  the size in @out is none
 */
VIOMMU_PUBLIC int viommu_backend_stats_get(struct viommu_backend *backend, struct viommu_backend_stats *out);

#ifdef __cplusplus
}
#endif
#endif
