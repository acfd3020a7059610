/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { STATUS_UNUSABLE = 2 };

bool streams_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* Those below are open, so that the lowest number that is free is this one. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
			vmm_log("/dev/null, for a standard stream that is closed: %s", strerror(errno));
			return false;
		}
	}
	return true;
}

int streams_finish(int status)
{
	const int error = fflush(stdout) ? errno : 0;

	if (!error && !ferror(stdout))
		return status;
	/* Of an earlier write nobody knows any more what was wrong with it. */
	vmm_log("standard output cannot be written to%s%s", error ? ": " : "", error ? strerror(error) : "");
	return status ? status : STATUS_UNUSABLE;
}
