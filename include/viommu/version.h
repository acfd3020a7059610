/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Versions: of the headers that a program was built with, and of the library that it runs with. Within a major version,
 * newer libraries serve programs that were built with older headers: structures that callers fill in or receive begin
 * with their size.
 */
#ifndef VIOMMU_VERSION_H
#define VIOMMU_VERSION_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the headers. */
#define VIOMMU_VERSION_MAJOR 0
#define VIOMMU_VERSION_MINOR 1
#define VIOMMU_VERSION_PATCH 0

/* As one number, so that versions can be compared. */
#define VIOMMU_VERSION_NUMBER(major, minor, patch) ((major) << 16 | (minor) << 8 | (patch))

/*
 * viommu_version - the library's version. Any thread.
 *
 * Returns: VIOMMU_VERSION_NUMBER() of its parts
 */
VIOMMU_PUBLIC unsigned viommu_version(void);

/* viommu_version_string - the same in words, such as "1.2.3". Any thread. */
VIOMMU_PUBLIC const char *viommu_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
