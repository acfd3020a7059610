/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two ends of a TCP load say to each other. The guest's end begins with a struct load_order. Streams are whole
 * blocks, whose first byte is 0 in the last one; the receiver of a stream that the guest sends answers the last block
 * with a byte, so that its sender knows that all of it has arrived. Round trips are single bytes that come back, the
 * last one being 0. The guest's end may also close the connection in the middle.
 */
#ifndef LOAD_TCP_H
#define LOAD_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load.h"

enum { TCP_BLOCK = 64 * 1024 };

enum load_kind { LOAD_SEND = 's', LOAD_RECEIVE = 'r', LOAD_ROUND_TRIPS = 't' };

/* Both ends run on processors of the same byte order. */
struct load_order {
	uint32_t kind;
	uint32_t milliseconds;
};

int tcp_write(int fd, const void *data, size_t size);
/* As many bytes as there are asked for; -1 at the connection's end as well. */
int tcp_read(int fd, void *data, size_t size);
int tcp_no_delay(int fd);

/* Blocks until the time is over; the last one says so. */
int tcp_stream_out(int fd, unsigned milliseconds, uint64_t *bytes);
/* Blocks until the last one, or until the time END (by load_now()). */
int tcp_stream_in(int fd, double end, uint64_t *bytes);

#endif
