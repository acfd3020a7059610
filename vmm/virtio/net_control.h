/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of a network device (virtio 1.2, section 5.1.6.5): a command, and one byte that says whether it was
 * done. The monitor serves it, even where the kernel or a back end has the frames. I/O thread only.
 */
#ifndef VMM_VIRTIO_NET_CONTROL_H
#define VMM_VIRTIO_NET_CONTROL_H

#include "vmm/net/command.h"
#include "vmm/virtio/virtio.h"

enum { NET_COMMAND_BYTES = 8192 };

struct net_control {
	struct virtio_dev *dev;
	unsigned pairs; /* of queues, that the device has */
	/* A command that the driver may give; outside of sections. -errno: it is answered by an error. */
	int (*perform)(struct virtio_dev *dev, const struct net_command *command);
	/* While the device runs. */
	uint64_t features;
	unsigned queue; /* the index of the control queue, if it was negotiated; those before it are for frames */
	struct loop_work more;
	/* Scratch of one command. */
	struct vq_chain chain;
	uint8_t command[NET_COMMAND_BYTES];
};

void net_control_init(struct net_control *control, struct virtio_dev *dev, unsigned pairs,
		      int (*perform)(struct virtio_dev *dev, const struct net_command *command));

/* The device starts with these features, or stops. */
void net_control_start(struct net_control *control, uint64_t features);
void net_control_stop(struct net_control *control);

/* The driver has notified a queue. False: that was another one. */
bool net_control_kick(struct net_control *control, unsigned queue);

#endif
