/* SPDX-License-Identifier: BSD-2-Clause */
/* A vhost-user back end that mostly keeps to the protocol, and what a guest's pages are to it. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include "fuzz/fuzz.h"
#include "tests/support/vhu_front.h"

enum { PEER_PAGES = 64, PEER_FIRST = 0x10000 };

/* The guest's pages, from the I/O address PEER_FIRST on. */
struct peer_page {
	uint64_t gpa;
	unsigned access;
	bool mapped, told; /* told: the back end was, and has not been told to forget it */
	bool leaving;      /* unmapped, and the invalidation is not complete */
};

extern struct peer_page peer_pages[PEER_PAGES];
extern struct tape *peer_script; /* what the back end does */
extern bool peer_honest;         /* so far, and connected: who was cut off reads what was sent before */
extern unsigned peer_losses;     /* of connections, before this one */

/* For struct back: checks each translation that comes, and sometimes answers with rubbish. */
bool peer_hook(struct back *back, struct channel_message *message);

/* Anything in place of this message, or of its answer. */
void peer_rubbish(struct back *back, struct channel *channel, const struct channel_message *request);

#endif
