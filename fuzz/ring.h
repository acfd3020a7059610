/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver that fills a virtqueue with what the input says (tests/support/ring_driver.h). Two of its pages are guarded:
 * one is mapped for reading alone, one not at all; nothing may change them.
 */
#ifndef FUZZ_RING_H
#define FUZZ_RING_H

#include "fuzz/fuzz.h"
#include "tests/support/ring_driver.h"

/* A queue of any size and features, its parts where the input says. */
struct ring *ring_draw(struct tape *tape);

/* An address in the rings' and buffers' pages more often than not. */
uint64_t ring_draw_iova(struct tape *tape);

/* Offer a chain of a few buffers that are mapped, if pages are as they were at first. */
void ring_draw_chain(struct ring *ring, struct tape *tape);

/* Offer a chain of many descriptors, of which most are in an indirect table. */
void ring_draw_long(struct ring *ring, struct tape *tape);

/* Write a descriptor, or eight bytes anywhere; map a page anew, with other rights, or not at all. */
void ring_draw_desc(struct ring *ring, struct tape *tape);
void ring_draw_bytes(struct ring *ring, struct tape *tape);
void ring_draw_page(struct ring *ring, struct tape *tape);

/* Is it one of the errors that queue.h names? */
bool ring_error_is_known(int ret);

void ring_check_guards(struct ring *ring);

#endif
