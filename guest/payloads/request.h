/* SPDX-License-Identifier: BSD-2-Clause */
/* For each kind of virtio device, a request whose answer tells that the device works. */
#ifndef PAYLOAD_REQUEST_H
#define PAYLOAD_REQUEST_H

#include "virtio.h"

/* The queue that takes it. */
unsigned request_queue(const struct virtio *dev);

/* Send it, in descriptors of the queue's table or in an indirect one, and check the answer. */
bool request_works(struct queue *queue, bool indirect);

const char *request_device(const struct virtio *dev);

#endif
