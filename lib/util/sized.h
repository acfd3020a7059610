/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Structures that begin with their size, so that a program and a library of different versions understand each other
 * (viommu/types.h). Such a structure only ever grows at its end.
 */
#ifndef LIB_UTIL_SIZED_H
#define LIB_UTIL_SIZED_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

/*
 * Take what a caller has given: what it does not know is 0. Our copy is all 0 on errors: -EINVAL (nothing, or no size),
 * -E2BIG (it wants something that we do not know).
 */
static inline int sized_take(void *own, size_t own_size, const void *theirs)
{
	const unsigned char *bytes = theirs;
	size_t size;

	memset(own, 0, own_size);
	if (!theirs)
		return -EINVAL;
	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (size_t i = own_size; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(own, theirs, size < own_size ? size : own_size);
	memcpy(own, &own_size, sizeof(own_size));
	return 0;
}

/* Give a caller what it has room for; what we do not know is 0. -EINVAL: no size. */
static inline int sized_give(void *theirs, const void *own, size_t own_size)
{
	unsigned char *bytes = theirs;
	size_t size;

	memcpy(&size, theirs, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	const size_t known = size < own_size ? size : own_size;

	memcpy(bytes + sizeof(size), (const unsigned char *)own + sizeof(size), known - sizeof(size));
	memset(bytes + known, 0, size - known);
	return 0;
}

#endif
