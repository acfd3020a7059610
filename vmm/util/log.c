/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 1024, LOG_NAME_MAX = 64, LIMIT_SECONDS = 5, LIMIT_LINES = 10 };

static const char *log_name = "viommu";

void vmm_log_name(const char *name)
{
	log_name = name;
}

void log_make_printable(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < ' ' || *at == 0x7f)
			*at = '?';
		/* U+0080 to U+009f are control characters, too. */
		if (*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
			at[0] = at[1] = '?';
	}
}

/* What is too long loses its middle: what it is about stands in front, and what to do in the end. */
static void log_shorten(char *line, size_t start, const char *format, va_list args)
{
	const size_t room = LOG_LINE_MAX - 1 - start, tail = room / 2;
	char *text;
	const int len = vasprintf(&text, format, args);

	if (len < 0)
		return;
	if ((size_t)len > room)
		snprintf(line + start, room + 1, "%.*s...%s", (int)(room - tail - 3), text, text + len - tail);
	free(text);
}

/* One write() a line, so that lines of several threads do not mix. */
void vmm_log(const char *format, ...)
{
	char line[LOG_LINE_MAX + 1];
	const size_t start = (size_t)snprintf(line, LOG_NAME_MAX, "%s: ", log_name);
	const int saved = errno;
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	const int wanted = vsnprintf(line + start, LOG_LINE_MAX - start, format, args);

	if (wanted >= (int)(LOG_LINE_MAX - start))
		log_shorten(line, start, format, again);
	va_end(again);
	va_end(args);
	if (wanted < 0)
		return;
	log_make_printable(line);
	size_t len = strlen(line);

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
