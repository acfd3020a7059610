/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that a peer may send, of all kinds, and a count of those that are open: what came must be closed in the
 * end.
 */
#ifndef FUZZ_FDS_H
#define FUZZ_FDS_H

enum { FDS_KINDS = 8 };

/*
 * One of a kind: event descriptors, files of memory of several sizes and seals, a pipe, a socket, a device. They stay
 * open.
 */
int fds_of_kind(unsigned kind);

unsigned fds_open(void);

/* Closing happens on a thread of the library: wait until no more than these are open. */
void fds_wait(unsigned wanted);

#endif
