/* SPDX-License-Identifier: BSD-2-Clause */
/* How many files this process has open; for tests of what is left behind. */
#ifndef TESTS_SUPPORT_FILES_H
#define TESTS_SUPPORT_FILES_H

#include <dirent.h>

static inline unsigned files_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
