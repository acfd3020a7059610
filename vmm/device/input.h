/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes on their way in from a file descriptor, taken only as fast as the device can hold them. Works with what can be
 * polled (terminals, pipes, sockets) and with what cannot (regular files, /dev/null).
 */
#ifndef VMM_INPUT_H
#define VMM_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct input;

struct input_ops {
	/* How many bytes fit now; after 0 the device calls input_resume() when some do. Loop thread. */
	size_t (*room)(void *opaque);
	/* At most as many as room() said. Loop thread. */
	void (*take)(void *opaque, const uint8_t *bytes, size_t count);
};

/* Nothing is read before the first input_resume(). fd stays the caller's. Errors: -ENOMEM. */
int input_create(struct loop *loop, int fd, const struct input_ops *ops, void *opaque, struct input **out);

/* Loop thread, or when the loop does not run. */
void input_destroy(struct input *input);

/* Any thread. */
void input_resume(struct input *input);

#endif
