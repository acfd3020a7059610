/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words that every public header uses.
 *
 *   GPA         guest-physical address: where guest memory lies
 *   IOVA        the address that a device puts on the bus
 *   context     an IOMMU: memory, domains and endpoints that belong together (struct viommu)
 *   region      a piece of guest memory that is contiguous in GPA and in this process
 *   domain      an I/O address space: IOVA -> GPA and rights
 *   mapping     what one viommu_map() has put into a domain
 *   endpoint    a device as the IOMMU sees it, named by its requester id
 *   model       an IOMMU that a guest programs (virtio.h, vtd.h); it moves the endpoints that it manages
 *   section     the code between viommu_dma_begin() and viommu_dma_end(), in which host addresses are valid
 *   span        the part of a region that one translation has found
 *   extent      IOVAs side by side that lie side by side in one region and have the same rights
 *   hold        a use of host addresses beyond the section (asynchronous I/O)
 *   fault       a DMA that was blocked
 *   invalidation  a collection of changes that take rights away; it completes when nobody uses these rights any more
 *   client      code that keeps translations outside of the library and gives them back on request (client.h)
 *   mirror      a client that must be told all that an endpoint can reach, because it cannot ask (mirror.h)
 *   front end, back end  of vhost-user: the program with the guest, the program with the device
 *
 * All ranges are closed: first..last, both included, so that 2^64-1 can be a last address.
 *
 * All functions that can fail return 0 or a negative errno. Each says which, and why; a code is always of this kind:
 *
 *   -EINVAL     an argument is wrong, whatever the state: alignment, order, range, what must be there
 *   -E2BIG      a structure wants what this library does not know (below)
 *   -ENOMEM     no memory
 *   -ENOSPC     a bound of the library or of the configuration is reached
 *   -EEXIST     something is there, or overlaps
 *   -ENOENT     nothing is there
 *   -EAGAIN     not yet, and nothing is wrong: ask again later, or when the callback comes that the function names
 *   -EBUSY      the object is in use, or takes no such call in its state: what was begun with it must end first
 *   -EFAULT     an access to what is not mapped, or is no memory
 *   -EACCES     an access without that right
 *   -ECANCELED  the endpoint is paused (viommu_endpoint_pause())
 *   -EIO        the endpoint has failed and still holds on to memory (inval.h)
 *   -ETIMEDOUT  a deadline has passed
 *   -EPROTO     what another process has sent or written breaks the rules: have no more of it
 *   -ENOTCONN   there is no connection
 *   -EOPNOTSUPP  what it takes is not there: in the kernel, in a model as it is configured
 *
 * Others come from the system calls that a function names, or stand in its own table only. What clients and mirrors
 * return may mean something else to the function that called them (client.h, mirror.h).
 *
 * Structures with a `size` may grow, at their end only, so that program and library need not be of one version. The
 * caller sets `size` to the sizeof of the structure that it was built with, and members that it does not need to 0.
 * Members that only the library knows are taken as 0, and are not written. Members that only the caller knows must be
 * 0 (else -E2BIG); where the library fills the structure in, it sets them to 0. A `size` of 0 is refused (-EINVAL).
 * Structures without `size` (faults, regions, mappings, spans, extents) do not grow within a major version.
 *
 * Callbacks come in one of two ways. An object that lives by being called back (client.h, mirror.h, and both ends of
 * vhost-user) takes a table of them, `..._ops`, which has all of its callbacks and is the same for all objects of a
 * kind; `opaque` is given beside the table. Where callbacks only tell the embedder of something they are members of the
 * configuration, as `opaque` is. Tables and configurations are copied. The first argument of a callback is always that
 * `opaque`. The `cancel` of a hold has none: it gets the hold, which the caller embeds in a structure of its own.
 *
 * Short forms. "Any thread": the function may be called from any thread, also while another thread is in it. "NULL is
 * allowed": the argument may be NULL, and then nothing happens. "May be NULL", of a callback: it need not be given.
 */
#ifndef VIOMMU_TYPES_H
#define VIOMMU_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIOMMU_PUBLIC __attribute__((visibility("default")))

/* A guest-physical address. Wrapped so that it cannot be dereferenced or mixed up with an IOVA. */
struct viommu_gpa {
	uint64_t value;
};

/* An I/O virtual address. */
struct viommu_iova {
	uint64_t value;
};

/* Rights of a mapping, and what an access asks for. */
enum viommu_access {
	VIOMMU_READ = 1 << 0,  /* the device reads memory */
	VIOMMU_WRITE = 1 << 1, /* the device writes memory */
	VIOMMU_MMIO = 1 << 2,  /* mappings only: the target is device memory */
};

struct viommu;
struct viommu_domain;
struct viommu_endpoint;
struct viommu_inval;

#ifdef __cplusplus
}
#endif
#endif
