/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end of a vhost-user device: a virtio device's queues are served by another process, the back end, over a
 * Unix socket. The embedder has the device's registers and interrupts; this part has the protocol: negotiation, the
 * memory table, rings, configuration, the back end's device IOTLB, faults, and going on after the back end was lost.
 *
 * Nothing here ever waits for the back end. An embedder polls one descriptor, viommu_vhu_fd(), and calls
 * viommu_vhu_serve() when it is readable; the deadline for the back end's answers is behind the same descriptor. What
 * the back end does wrong costs it the connection, and the embedder one line.
 *
 * The IOMMU is *advisory* towards a back end: the back end gets descriptors of all guest memory (SET_MEM_TABLE), so
 * that a back end which ignores the IOTLB reaches all of it. An invalidation completes when the back end
 * has acknowledged it. When the connection is lost or dropped, everything counts as acknowledged, although a process
 * that lives on still has its mapping. Where that is not enough give `regions` of memory that is not the guest's (a
 * bounce buffer) and no endpoint: then nothing is translated by the back end, addresses in rings are offsets into what
 * it was given, and copying is the embedder's.
 *
 * While the endpoint is paused (viommu_endpoint_pause()) the back end is told no translation, and its misses wait.
 *
 * The back end learns no host address: what the protocol calls user addresses are guest-physical ones.
 *
 * Thread rules: all functions belong to one thread at a time; callbacks come from viommu_vhu_serve(), or where it says
 * so, and may call everything but viommu_vhu_serve() and viommu_vhu_destroy(). Invalidations may begin on any thread.
 * Descriptors that back ends send are closed on a thread of the library, one for each front end while there are some,
 * all signals blocked: a peer decides how long that takes, and costs itself the connection.
 */
#ifndef VIOMMU_VHOST_USER_FRONT_H
#define VIOMMU_VHOST_USER_FRONT_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* At most: rings of a device, regions of memory that a back end is told of, bytes of the configuration space. */
enum { VIOMMU_VHU_RINGS = 128, VIOMMU_VHU_REGIONS = 8, VIOMMU_VHU_CONFIG = 256 };

struct viommu_vhu;

/* Memory that is the embedder's own, not the guest's. */
struct viommu_vhu_region {
	struct viommu_gpa gpa; /* addresses in rings and descriptors lie in gpa..gpa + size - 1 */
	uint64_t size;         /* bytes, > 0; no wrap, no overlap */
	void *host;            /* where it is mapped here */
	int fd;                /* what backs it */
	uint64_t fd_offset;
};

/* A split virtqueue as its driver has set it up. */
struct viommu_vhu_ring {
	uint32_t size;                           /* entries: a power of two, 1..32768 */
	struct viommu_iova desc, driver, device; /* descriptor table, available ring, used ring */
	uint16_t base;                           /* the available entry to begin with */
	/*
	 * Event descriptors: the guest's notifications, interrupts, and errors of the ring. They stay the embedder's,
	 * open until the ring is stopped; -1: none (kick: the back end polls).
	 */
	int kick, call, err;
	bool enabled; /* serve it from the start (viommu_vhu_enable()) */
};

/* All of them get viommu_vhu_config.opaque. */
struct viommu_vhu_ops {
	size_t size; /* sizeof(struct viommu_vhu_ops): types.h */
	/*
	 * Negotiated: features, queues and configuration are known. What viommu_vhu_start() asked for follows by
	 * itself.
	 */
	void (*ready)(void *opaque);
	/* The rings are set up at the back end; after each viommu_vhu_start() and each new connection. May be NULL. */
	void (*started)(void *opaque);
	/*
	 * The answer to viommu_vhu_stop(): the back end does not use the rings any more. bases[i] is the available
	 * entry that ring i has to go on with. Without a connection it is called from inside viommu_vhu_stop().
	 */
	void (*stopped)(void *opaque, const uint16_t *bases, unsigned count);
	/*
	 * The connection is gone, `why` says why, without a newline. Connect again whenever you like: a started device
	 * then goes on where its rings say.
	 */
	void (*lost)(void *opaque, const char *why);
	/* The back end's configuration has changed: viommu_vhu_config_read() gives the new one. May be NULL. */
	void (*config_changed)(void *opaque);
	/* A line for the operator about something that was refused: at most ten a connection. May be NULL. */
	void (*log)(void *opaque, const char *line);
	/*
	 * The back end misses an address that is not allowed. True: the device still needs it, and the miss is a fault.
	 * A back end may have used an address that was pushed, or that it asked for twice, and the guest may have
	 * unmapped it by the time that the miss is read. Called outside of sections. NULL: the device needs all that is
	 * missed.
	 */
	bool (*wants)(void *opaque, struct viommu_iova iova, unsigned access);
};

struct viommu_vhu_config {
	size_t size; /* sizeof(struct viommu_vhu_config): types.h */
	/*
	 * The endpoint that does the device's DMA. The back end maps its context's memory regions that have a
	 * descriptor. NULL: `regions`.
	 */
	struct viommu_endpoint *endpoint;
	/*
	 * The endpoint's addresses are translated: the back end must have a device IOTLB (VIRTIO_F_ACCESS_PLATFORM,
	 * REPLY_ACK, BACKEND_REQ), or is refused.
	 */
	bool iommu;
	const struct viommu_vhu_region *regions; /* without endpoint; copied */
	unsigned region_count;                   /* 1..VIOMMU_VHU_REGIONS */
	uint64_t features; /* virtio feature bits that the embedder can make use of; never packed rings (34) */
	unsigned queues;   /* rings that the back end is to serve, 1..VIOMMU_VHU_RINGS; it must have as many */
	bool pairs;        /* the back end counts its rings in pairs (a network card) */
	/* Bytes of the device's configuration space that the back end must give; 0: it is the embedder's own. */
	unsigned config_size;
	uint16_t mtu; /* told to a back end that wants to know; 0: none */
	/*
	 * A request must be neither lost nor served twice (a disk). A new connection then goes on only where the back
	 * end keeps track of its requests (INFLIGHT_SHMFD) or none was under way.
	 */
	bool exact;
	/*
	 * The right to write includes the right to read: a back end that asks for both gets both where the guest gave
	 * writing alone. DPDK's asks so for what it only writes, and would wait for ever. Off: that is a fault, and
	 * translations have just the rights that the guest gave.
	 */
	bool write_implies_read;
	/*
	 * Share the endpoint's translations as a table that the back end reads without a message, if it knows how to
	 * (docs/SHARED-TABLE.md, viommu/shared_writer.h). With `iommu`.
	 */
	bool shared_table;
	bool push_maps; /* tell the back end what the guest maps before it asks, where the guest tells of it */
	/*
	 * Milliseconds that the back end may take to acknowledge an IOTLB message. For INVALIDATE they are counted from
	 * the sending, for UPDATE from the answer to the message before it. 0: 5000.
	 */
	unsigned reply_ms;
	/*
	 * Milliseconds that the back end may take to acknowledge the memory table (it may touch each page of guest
	 * memory for that). Any other request may take a quarter of this time. 0: 120 000.
	 */
	unsigned setup_ms;
	const struct viommu_vhu_ops *ops;
	void *opaque;
};

struct viommu_vhu_stats {
	size_t size;            /* sizeof(struct viommu_vhu_stats): types.h */
	uint64_t connections;   /* negotiated */
	uint64_t misses;        /* asked by the back end */
	uint64_t updates;       /* translations sent */
	uint64_t invalidations; /* sent; many at a time are sent as one that names all addresses */
	uint64_t access_fails;  /* accesses that the back end says were blocked */
	uint64_t tables;        /* shared tables that a back end took */
	uint64_t refused;       /* requests of the back end that were not understood */
};

/*
 * viommu_vhu_create - make a front end, not connected. Its endpoint must be there until viommu_vhu_destroy().
 *
 * Errors:
 *   -E2BIG   @config wants what this library does not know (types.h)
 *   -EINVAL  a member of @config is out of its range
 *   -ENOMEM
 *   -EMFILE
 *   those of viommu_event_setup() (event.h)
 */
VIOMMU_PUBLIC int viommu_vhu_create(const struct viommu_vhu_config *config, struct viommu_vhu **out);

/* viommu_vhu_destroy - close the connection and free it. No callback is called. NULL is allowed. */
VIOMMU_PUBLIC void viommu_vhu_destroy(struct viommu_vhu *vhu);

/*
 * viommu_vhu_connect - begin to negotiate over a connected Unix stream socket, which is now the front end's, also on
 * errors. The back end is told of the memory that there is right after that.
 *
 * Errors:
 *   -EBUSY            there is a connection
 *   -ENOTRECOVERABLE  viommu_vhu_stuck()
 *   -ETOOMANYREFS     what earlier back ends sent cannot be closed yet: later
 *   -ENOMEM
 *   -EMFILE
 */
VIOMMU_PUBLIC int viommu_vhu_connect(struct viommu_vhu *vhu, int fd);

/* viommu_vhu_disconnect - close the connection, if there is one; lost() is not called. */
VIOMMU_PUBLIC void viommu_vhu_disconnect(struct viommu_vhu *vhu);

/*
 * viommu_vhu_fd - poll this for reading, as long as the front end exists.
 *
 * Returns: the descriptor, which stays the front end's
 */
VIOMMU_PUBLIC int viommu_vhu_fd(const struct viommu_vhu *vhu);

/* viommu_vhu_serve - do what there is to do, a bounded amount at a time; harmless when there is nothing. */
VIOMMU_PUBLIC void viommu_vhu_serve(struct viommu_vhu *vhu);

/* viommu_vhu_ready - true while there is a connection that has been negotiated. */
VIOMMU_PUBLIC bool viommu_vhu_ready(const struct viommu_vhu *vhu);

/*
 * viommu_vhu_stuck - true when the device cannot resume on a new connection: it is `exact` and requests were in flight
 * without an in-flight region, or its rings are no longer mapped, or its back end exceeded reply_ms three times within
 * a minute. Call viommu_vhu_stop() before connecting again.
 */
VIOMMU_PUBLIC bool viommu_vhu_stuck(const struct viommu_vhu *vhu);

/*
 * viommu_vhu_crowded - true while too many descriptors that earlier back ends sent are still open; viommu_vhu_connect()
 * then returns -ETOOMANYREFS. Call this before you connect a socket: otherwise the back end sees connections that end
 * at once.
 */
VIOMMU_PUBLIC bool viommu_vhu_crowded(const struct viommu_vhu *vhu);

/*
 * viommu_vhu_features - the bits of viommu_vhu_config.features that the latest back end offers. Bit 33 is among them
 * where `features` has it.
 */
VIOMMU_PUBLIC uint64_t viommu_vhu_features(const struct viommu_vhu *vhu);

/* viommu_vhu_queues - how many rings the latest back end serves at most. */
VIOMMU_PUBLIC unsigned viommu_vhu_queues(const struct viommu_vhu *vhu);

/*
 * viommu_vhu_start - let the back end serve these rings, now or as soon as there is one.
 *
 * @features: what the driver has accepted; with an IOMMU bit 33 is one of them, without it is not
 * @rings, @count: copied; 1..viommu_vhu_config.queues of them
 *
 * Errors:
 *   -EINVAL  a ring, count, or features that the back end does not offer
 *   -EBUSY   started, or not yet stopped
 */
VIOMMU_PUBLIC int viommu_vhu_start(struct viommu_vhu *vhu, uint64_t features, const struct viommu_vhu_ring *rings,
				   unsigned count);

/*
 * viommu_vhu_stop - the back end shall stop; stopped() tells when it has.
 *
 * Errors:
 *   -EALREADY  not started, or stopping already
 */
VIOMMU_PUBLIC int viommu_vhu_stop(struct viommu_vhu *vhu);

/*
 * viommu_vhu_enable - switch one ring of a started device on or off.
 *
 * Errors:
 *   -EINVAL  there is no such ring
 */
VIOMMU_PUBLIC int viommu_vhu_enable(struct viommu_vhu *vhu, unsigned ring, bool on);

/*
 * viommu_vhu_config_read - copy from the configuration space as the back end told it last.
 *
 * Errors:
 *   -EINVAL  beyond config_size
 *   -EAGAIN  not told yet
 */
VIOMMU_PUBLIC int viommu_vhu_config_read(const struct viommu_vhu *vhu, unsigned offset, void *buffer, unsigned size);

/*
 * viommu_vhu_config_write - the driver writes its configuration space: the back end is told, and the space is then
 * read again.
 *
 * Errors:
 *   -EINVAL  beyond config_size
 *   -ENOTCONN
 *   -EBUSY  16 writes wait
 */
VIOMMU_PUBLIC int viommu_vhu_config_write(struct viommu_vhu *vhu, unsigned offset, const void *data, unsigned size);

/*
 * viommu_vhu_flush - let the back end forget all translations, without waiting for it: for a device TLB that is
 * switched on or off. Any thread, also inside a callback of the IOMMU model.
 */
VIOMMU_PUBLIC void viommu_vhu_flush(struct viommu_vhu *vhu);

/*
 * viommu_vhu_stats_get - counters since creation; they only grow. Any thread.
 *
 * Errors:
 *   -EINVAL  the size in @out is none
 */
VIOMMU_PUBLIC int viommu_vhu_stats_get(struct viommu_vhu *vhu, struct viommu_vhu_stats *out);

#ifdef __cplusplus
}
#endif
#endif
