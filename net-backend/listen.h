/* SPDX-License-Identifier: BSD-2-Clause */
/* A Unix socket that front ends connect to. */
#ifndef NET_BACKEND_LISTEN_H
#define NET_BACKEND_LISTEN_H

/*
 * Listen at a path: the file that a program has left behind is taken away, one that a program listens on is not.
 * -errno, a line is logged.
 */
int listen_at(const char *path, int *fd);

#endif
