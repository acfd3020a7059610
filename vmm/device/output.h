/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes on their way out to a file descriptor that may be slow or stuck (a pipe to a pager, a stopped terminal). A
 * thread of its own does the blocking writes, out of a queue of bounded size. Any thread, unless said otherwise.
 */
#ifndef VMM_OUTPUT_H
#define VMM_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct output;

/*
 * moved(opaque): the queue ran empty, or has room again after it was full; the writer's thread, no lock held. fd -1:
 * everything is dropped. The fd stays the caller's. Errors: -ENOMEM, -EAGAIN (no thread).
 */
int output_create(int fd, void (*moved)(void *opaque), void *opaque, struct output **out);

/* Writes what is left as long as that makes progress. */
void output_destroy(struct output *output);

bool output_has_room(struct output *output);

/* Wait for room; at most a second, once per stall, so that a stuck reader slows the guest but does not stop it. */
void output_wait(struct output *output);

/* Queue a byte; without room it is dropped. Returns whether moved() will follow. */
bool output_put(struct output *output, uint8_t byte);

#endif
