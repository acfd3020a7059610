/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device that a back end serves: net.c is the device, net_control.c its control queue, the monitor's own.
 */
#ifndef VMM_VHOST_USER_NET_H
#define VMM_VHOST_USER_NET_H

#include "vmm/vhost_user/device.h"

enum { VHOST_USER_NET_MAC = 6, VHOST_USER_NET_COMMAND = 64 };

struct vhost_user_net {
	struct vhost_user_device device;
	uint8_t mac[VHOST_USER_NET_MAC];
	unsigned pairs;
	unsigned control_queue; /* its index while the device runs; 0: none */
	struct vq_chain chain;  /* scratch of one command */
	struct loop_work control_work;
};

/* Serve the control queue. I/O thread. */
void vhost_user_net_control(struct vhost_user_net *net);

#endif
