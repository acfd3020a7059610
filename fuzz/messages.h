/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages of a vhost-user front end, mostly nearly right: requests, and payloads around the memory of
 * tests/support/front.h.
 */
#ifndef FUZZ_MESSAGES_H
#define FUZZ_MESSAGES_H

#include "fuzz/fuzz.h"

/* I/O addresses are mostly those of so many pages. */
enum { MESSAGES_PAGES = 64, MESSAGES_PAYLOAD = 1024 };

#define MESSAGES_IOVA 0x40000ull

uint32_t messages_request(struct tape *tape);

/* Something like what the request has, or any bytes; returns the size that its header shall say, up to 512. */
uint32_t messages_payload(struct tape *tape, uint32_t request, uint8_t payload[MESSAGES_PAYLOAD]);

/* One of the pages from `base` on, or anything. */
uint64_t messages_page(struct tape *tape, uint64_t base);

#endif
