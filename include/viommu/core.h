/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IOMMU context, the guest memory behind it, and the endpoints in front of it.
 *
 * Thread rules: every function here may be called from any thread. Calls that change the same object
 * are serialised inside; destroying an object while another call uses it is the caller's bug.
 */
#ifndef VIOMMU_CORE_H
#define VIOMMU_CORE_H

#include <viommu/fault.h>
#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an embedder chooses. A structure that is 0 but for its size gives the defaults. */
struct viommu_config {
	size_t size; /* sizeof(struct viommu_config): types.h */
	/*
	 * Bytes of translation tables that one domain may use. Each 4 KiB mapping takes 8 bytes where mappings
	 * lie densely and up to 4 KiB and more where they are strewn; at the bound viommu_map() gives -ENOSPC.
	 * 0: 64 MiB.
	 */
	uint64_t domain_table_bytes;
	/*
	 * Called with each line that the host's operator should read (a blocked DMA), without a newline,
	 * rate-limited to ten lines in five seconds. Any thread; must not call back into the library.
	 * NULL: nothing is logged.
	 */
	void (*log)(void *opaque, const char *line);
	/*
	 * Called with each fault (fault.h), logged or not. Any thread, from inside the DMA that failed: only note it;
	 * must not call back into the library. NULL: nobody is told.
	 */
	void (*fault)(void *opaque, const struct viommu_fault *fault);
	/*
	 * Milliseconds that an invalidation waits for sections, holds and clients. At half of it the holds in its way
	 * are cancelled; at the end the endpoints in its way are blocked and failed (inval.h). 0: 2000.
	 */
	unsigned deadline_ms;
	/*
	 * Called from viommu_inval_poll() when an endpoint was blocked because it still used memory at the deadline.
	 * It can be attached again once its sections, holds and clients have ended that use; until then viommu_attach()
	 * gives -EIO. It must not call back into the library. May be NULL.
	 */
	void (*endpoint_failed)(void *opaque, uint32_t endpoint);
	/*
	 * Called when a section, hold or client has ended that an invalidation waited for: each invalidation whose last
	 * poll gave -EAGAIN is to be polled again. It is called at least once after such a poll, on the thread that is
	 * inside viommu_dma_end(), viommu_dma_release(), viommu_client_ack(), viommu_client_refuse() or
	 * viommu_client_unregister(), or inside a call that does one of these, perhaps with locks of the library held.
	 * So it must not call back into the library (but for viommu_event_signal(), to wake the thread that polls), and
	 * must not take a lock that the embedder holds around calls of the library. A pending invalidation must be
	 * polled every half deadline all the same: cancelling holds and failing endpoints happens inside the poll.
	 * NULL: the embedder polls from time to time.
	 */
	void (*progress)(void *opaque);
	void *opaque;
};

/*
 * viommu_create - make an IOMMU context without memory, domains or endpoints.
 *
 * @config: what the embedder chooses; NULL: the defaults
 *
 * Errors:
 *   -EINVAL  the size in @config is 0
 *   -E2BIG   @config wants what this library does not know (types.h)
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_create(const struct viommu_config *config, struct viommu **out);

/*
 * viommu_destroy - free a context. Its endpoints and models must be gone, no section or hold may be open, and every
 * call of the library on other threads has returned.
 */
VIOMMU_PUBLIC void viommu_destroy(struct viommu *v);

/*
 * viommu_mem_add - tell where guest memory lies in this process.
 *
 * @gpa, @size: the region in guest-physical space, both multiples of 4096, size > 0, no wrap beyond 2^64-1
 * @host: where it is mapped here; stays mapped until the invalidation of viommu_mem_remove() is complete
 * @fd, @fd_offset: the file that backs it, for clients that map it elsewhere; -1 where there is none
 *
 * Errors:
 *   -EINVAL  alignment, size, wrap
 *   -EEXIST  overlaps a region
 *   -EOPNOTSUPP  limits of an endpoint with a mirror exclude it (viommu_endpoint_set_limits()); nothing changed
 *   -ENOMEM
 *   others   what a mirror refuses with (mirror.h); nothing changed
 */
VIOMMU_PUBLIC int viommu_mem_add(struct viommu *v, struct viommu_gpa gpa, uint64_t size, void *host, int fd,
				 uint64_t fd_offset);

/*
 * viommu_mem_remove - take a region away. When @inval is complete (inval.h) no access to it is under way or can begin.
 *
 * @gpa: where the region starts, as given to viommu_mem_add()
 *
 * Errors:
 *   -EBUSY   @inval has begun already
 *   -ENOENT  no region starts there
 *   -ENOMEM  nothing changed
 */
VIOMMU_PUBLIC int viommu_mem_remove(struct viommu *v, struct viommu_gpa gpa, struct viommu_inval *inval);

/* A region of guest memory, as viommu_mem_add() was told. */
struct viommu_region {
	struct viommu_gpa first, last;
	void *host; /* use it only while no other thread can remove the region */
	int fd;     /* -1: none */
	uint64_t fd_offset;
};

/*
 * viommu_mem_next - the region that holds an address, or else the first one behind it.
 *
 * Errors:
 *   -ENOENT  there is none
 */
VIOMMU_PUBLIC int viommu_mem_next(struct viommu *v, struct viommu_gpa gpa, struct viommu_region *out);

/*
 * viommu_endpoint_add - make an endpoint. It starts blocked: every DMA of it is a fault.
 *
 * @id: requester id, (segment << 16) | (bus << 8) | (device << 3) | function; unique in the context
 * @name: how log lines name it ("0000:00:03.0"); copied, at most 31 bytes are kept
 *
 * Errors:
 *   -EEXIST  id is taken
 *   -ENOSPC  65 535 endpoints exist
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_endpoint_add(struct viommu *v, uint32_t id, const char *name, struct viommu_endpoint **out);

/*
 * viommu_endpoint_remove - free an endpoint. No section of it may be open. It must be blocked, the invalidation of the
 * viommu_detach() that blocked it must be complete, and no model may manage it.
 *
 * Errors:
 *   -EBUSY  one of these is not so
 */
VIOMMU_PUBLIC int viommu_endpoint_remove(struct viommu_endpoint *endpoint);

/* viommu_endpoint_find - the endpoint with this requester id, or NULL. */
VIOMMU_PUBLIC struct viommu_endpoint *viommu_endpoint_find(struct viommu *v, uint32_t id);

/* viommu_endpoint_next - the endpoint with the smallest requester id from @id on, or NULL. */
VIOMMU_PUBLIC struct viommu_endpoint *viommu_endpoint_next(struct viommu *v, uint32_t id);

/* viommu_endpoint_id - the requester id that the endpoint was made with. */
VIOMMU_PUBLIC uint32_t viommu_endpoint_id(const struct viommu_endpoint *endpoint);

/* I/O addresses that an endpoint must not have mapped. */
struct viommu_reserved {
	struct viommu_iova first, last; /* first is a multiple of 4096, and so is last + 1 */
	bool msi;                       /* the doorbell window of message-signalled interrupts; at most one */
};

/* At most so many of them each endpoint has. */
enum { VIOMMU_RESERVED_MAX = 64 };

/*
 * What the party behind an endpoint can map: a host IOMMU, for example, of which IOMMU_IOAS_IOVA_RANGES or
 * VFIO_IOMMU_GET_INFO tell. What lies between the ranges that are usable there is reserved here.
 */
struct viommu_endpoint_limits {
	size_t size;                            /* sizeof(struct viommu_endpoint_limits): types.h */
	const struct viommu_reserved *reserved; /* no two overlap; copied */
	size_t reserved_count;
	/* A bit for each size of pages, from 4 KiB. The lowest is the granule of all mappings. 0: 4 KiB. */
	uint64_t page_sizes;
	unsigned address_bits; /* 2^N and beyond are reserved, 32..64; 0: 64 */
};

/*
 * viommu_endpoint_set_limits - say what the endpoint can have mapped, before it is attached, and before a model manages
 * it; the last call counts. It starts without limits. Any thread.
 *
 * A domain of viommu_domain_create() in which the endpoint is maps nothing that it cannot have (viommu_map()), and it
 * is not attached to one that does already (viommu_attach()). Where others say what is mapped (bypass, tables of the
 * guest), the limits hold for the endpoint's mirrors (mirror.h).
 *
 * Errors:
 *   -EBUSY   it is attached, has failed in a domain, bypasses, or a model manages it: nothing changed
 *   -EINVAL  @limits is NULL or has no size; alignment, order, overlap, number of regions, page sizes, width
 *   -E2BIG   @limits wants what this library does not know (types.h)
 *   -ENOMEM
 */
VIOMMU_PUBLIC int viommu_endpoint_set_limits(struct viommu_endpoint *endpoint,
					     const struct viommu_endpoint_limits *limits);

/*
 * viommu_endpoint_set_ats - the driver has switched the device's Address Translation Services on or off (PCI Express
 * base 5.0, section 10.5.1.3). While it is on, the endpoint's clients are told of device-TLB invalidations in place of
 * invalidations of the IOTLB. It is off at first. Any thread.
 */
VIOMMU_PUBLIC void viommu_endpoint_set_ats(struct viommu_endpoint *endpoint, bool on);

/* Counters of a context since it was made. They only grow. */
struct viommu_stats {
	size_t size;              /* sizeof(struct viommu_stats): types.h */
	uint64_t maps;            /* mappings made */
	uint64_t unmaps;          /* mappings removed */
	uint64_t walks;           /* misses that read the guest's tables */
	uint64_t invalidations;   /* invalidations completed */
	uint64_t waited;          /* of those: had to wait for a section or a hold */
	uint64_t faults;          /* DMA blocked */
	uint64_t faults_unlogged; /* of those: not logged, because of the rate limit */
	uint64_t events_dropped;  /* fault events that no driver has taken: no room, or there was no driver */
	uint64_t table_bytes;     /* memory of translation tables now in use (goes down too) */
	uint64_t quarantined;     /* invalidations past their deadline, or destroyed, that still wait (goes down too) */
};

/*
 * viommu_stats_get - read the counters. Each is exact; they are read one after the other, so two of them may be of
 * different moments. Any thread.
 *
 * Errors:
 *   -EINVAL  the size in @out is 0
 */
VIOMMU_PUBLIC int viommu_stats_get(struct viommu *v, struct viommu_stats *out);

#ifdef __cplusplus
}
#endif
#endif
