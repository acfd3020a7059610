/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines for the operator: one line each on stderr, the program's name in front. Any thread. */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* "viommu" unless another program says so, before there are threads; not copied, at most 60 bytes. */
void vmm_log_name(const char *name);

/* Control characters become '?', and a line of more than 1 KiB loses its middle: names come from anywhere. */
void vmm_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for what goes to standard output: a terminal gets no escape sequences of others. */
void log_make_printable(char *text);

/*
 * For lines that a guest or a peer can cause as often as it likes: ten in five seconds. One for each kind of line, and
 * static: what is made anew with a connection, a device or a guest would begin anew with it. All zero at first.
 */
struct log_limit {
	unsigned most;          /* lines in five seconds; 0: 10 */
	_Atomic int64_t window; /* the stretch of time in which so many lines were told */
	_Atomic unsigned lines;
};

/* True if another line may be logged now. Any thread; several at a time may get one or two more through. */
bool vmm_log_may(struct log_limit *limit);

#endif
