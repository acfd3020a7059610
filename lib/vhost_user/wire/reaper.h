/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that a peer has sent are closed on threads of their own, and so are sockets, which may still hold some:
 * to close a socket that lingers, or a file whose server does not answer, takes as long as the peer likes. Each peer
 * has an account with a thread, which is there while something is to be closed: no peer waits for what another has
 * sent. How many may be unclosed is for the account's users to bound.
 */
#ifndef LIB_VHOST_USER_WIRE_REAPER_H
#define LIB_VHOST_USER_WIRE_REAPER_H

struct reaper_account;

/* -ENOMEM. Any thread, as the others. */
int reaper_open(struct reaper_account **out);
/* Wait a moment, no longer, for what is to be closed. */
void reaper_settle(struct reaper_account *account);
/* The same, and it is used no more; it lives on until all of its descriptors are closed. NULL is allowed. */
void reaper_leave(struct reaper_account *account);

/*
 * Close it, soon; shut a socket down before if its peer is to know at once. It is closed by the caller's thread without
 * an account, for it is our own then, and where neither memory nor threads are left.
 */
void reaper_close(struct reaper_account *account, int fd);

/* How many are not closed yet. */
unsigned reaper_unclosed(const struct reaper_account *account);

#endif
