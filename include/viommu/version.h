/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * There are two versions: that of the headers that a program was built with, and that of the library that it runs with.
 * Within a major version, newer libraries serve programs that were built with older headers (types.h, `size`).
 */
#ifndef VIOMMU_VERSION_H
#define VIOMMU_VERSION_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the headers. */
#define VIOMMU_VERSION_MAJOR 0
#define VIOMMU_VERSION_MINOR 1
#define VIOMMU_VERSION_PATCH 0

/* A version as one number, so that versions can be compared with < and >=. */
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
