/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The load of scripts/bench-guest: some load that warms up, after which all is idle again, and then some that counts,
 * by the same connection or file.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>

/* What was complete in the end: bytes, round trips or reads. */
struct load_result {
	uint64_t count;
	double seconds;
};

/*
 * All return 0, or -1 after a line on stderr. warm() returns when all that it began is complete, and counts all of it.
 * measure() gives up what is under way when its time is over: where a guest is slow, buffers take seconds to drain.
 */
struct load_ops {
	int (*open)(const char *target);
	int (*warm)(unsigned milliseconds, struct load_result *result);
	int (*measure)(unsigned milliseconds, struct load_result *result);
};

/* TCP, in writes of 64 KiB or of one byte; the target is ADDRESS:PORT of a load_serve(). */
extern const struct load_ops load_send, load_receive, load_round_trips;
/* Reads of 4 KiB at random places past the page cache, 1 or 32 at a time; the target is a block device. */
extern const struct load_ops load_read_1, load_read_32;

/* The peer of the TCP loads, for any number of them: returns only where it cannot listen. */
int load_serve(const char *port);

double load_now(void);
int load_failed(const char *what);

#endif
