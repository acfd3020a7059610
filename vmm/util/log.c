/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 1024, LOG_NAME_MAX = 64, LIMIT_SECONDS = 5, LIMIT_LINES = 10 };

static const char *log_name = "viommu";

void vmm_log_name(const char *name)
{
	log_name = name;
}

/* One write() a line, so that lines of several threads do not mix. */
void vmm_log(const char *format, ...)
{
	char line[LOG_LINE_MAX];
	const size_t start = (size_t)snprintf(line, LOG_NAME_MAX, "%s: ", log_name);
	const int saved = errno;
	va_list args;

	va_start(args, format);
	const int wanted = vsnprintf(line + start, sizeof(line) - start, format, args);
	va_end(args);
	if (wanted < 0)
		return;
	size_t len = start + (size_t)wanted;

	if (len > sizeof(line) - 1)
		len = sizeof(line) - 1;
	line[len++] = '\n';
	/* A reader that does not read must not stop the guest: a pipe with room for a line takes it without waiting. */
	if (poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) == 1 &&
	    write(STDERR_FILENO, line, len) < 0) {
		/* Nobody is left to tell. */
	}
	errno = saved;
}

bool vmm_log_may(struct log_limit *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t window = now.tv_sec / LIMIT_SECONDS + 1; /* 0 is none */

	if (atomic_exchange_explicit(&limit->window, window, memory_order_relaxed) != window)
		atomic_store_explicit(&limit->lines, 0, memory_order_relaxed);
	return atomic_fetch_add_explicit(&limit->lines, 1, memory_order_relaxed) <
	       (limit->most ? limit->most : LIMIT_LINES);
}
