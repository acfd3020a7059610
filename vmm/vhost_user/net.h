/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device that a back end serves: net.c is the device, net_control.c its control queue, which stays here. */
#ifndef VMM_VHOST_USER_NET_H
#define VMM_VHOST_USER_NET_H

#include "vmm/vhost_user/device.h"

enum { VHU_NET_MAC = 6, VHU_NET_COMMAND = 64 };

struct vhu_net {
	struct vhu_device device;
	uint8_t mac[VHU_NET_MAC];
	unsigned pairs;
	unsigned control_queue; /* its index while the device runs; 0: none */
	unsigned active;        /* pairs in use */
	struct vq_chain chain;  /* scratch of one command */
	struct loop_work control_work;
};

/* Serve the control queue. I/O thread. */
void vhu_net_control(struct vhu_net *net);

/* The first `pairs` are in use from now on. */
void vhu_net_use(struct vhu_net *net, unsigned pairs);

#endif
