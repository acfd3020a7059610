/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that a peer has sent are closed on a thread of their own, and so are sockets, which may still hold some: to close a socket that
 * lingers, or a file whose server does not answer, takes as long as the peer likes. An account says how many of a peer's are not closed yet.
 */
#ifndef LIB_CLIENT_REAPER_H
#define LIB_CLIENT_REAPER_H

struct reaper_account;

/* -ENOMEM. Any thread, as the others. */
int reaper_open(struct reaper_account **out);
/* It lives on until all of its descriptors are closed; waits for that for a moment. NULL is allowed. */
void reaper_leave(struct reaper_account *account);

/* Close it, soon; who wants a socket's peer to know at once shuts it down before. Without an account it is closed here: it is our own. */
void reaper_close(struct reaper_account *account, int fd);

/* How many are not closed yet. */
unsigned reaper_unclosed(const struct reaper_account *account);

#endif
