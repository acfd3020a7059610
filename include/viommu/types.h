/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words that every public header uses.
 *
 *   GPA         guest-physical address: where guest memory lies
 *   IOVA        the address that a device puts on the bus
 *   domain      an I/O address space: IOVA -> GPA and permission
 *   endpoint    a device as the IOMMU sees it, named by its requester id
 *   section     a short stretch of code in which host addresses are valid
 *   hold        a longer use of host addresses (asynchronous I/O)
 *   invalidation  what makes old translations unusable, and knows when they are
 *
 * All ranges are closed: first..last, both included, so that 2^64-1 can be a last address.
 * All functions that can fail return 0 or a negative errno.
 *
 * Structures with a `size` are filled in or received by callers that may have been built with older or newer headers
 * than the library: set it to the size of the structure, and everything that is not needed to 0. What lies beyond the
 * caller's size is taken as 0, and never written. What lies beyond the library's must be 0 (-E2BIG), and is set to 0
 * where the library fills it in. A size of 0 is refused (-EINVAL). Such structures grow at their end only.
 *
 * Callbacks get what their owner has given as `opaque` first; the `cancel` of a hold gets the hold itself, which the
 * caller has in a structure of its own.
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
