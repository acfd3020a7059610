/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's version: that of the headers that it was built with. */
#include <viommu/version.h>

#define WORDS_(major, minor, patch) #major "." #minor "." #patch
#define WORDS(major, minor, patch) WORDS_(major, minor, patch)

unsigned viommu_version(void)
{
	return VIOMMU_VERSION_NUMBER(VIOMMU_VERSION_MAJOR, VIOMMU_VERSION_MINOR, VIOMMU_VERSION_PATCH);
}

const char *viommu_version_string(void)
{
	return WORDS(VIOMMU_VERSION_MAJOR, VIOMMU_VERSION_MINOR, VIOMMU_VERSION_PATCH);
}
