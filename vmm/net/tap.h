/* SPDX-License-Identifier: BSD-2-Clause */
/* Tap interfaces of the kernel, one file descriptor for each queue. */
#ifndef VMM_NET_TAP_H
#define VMM_NET_TAP_H

#include <stdbool.h>

/* Bytes in front of each frame that a tap takes and gives: struct virtio_net_hdr_mrg_rxbuf. */
enum { TAP_HEADER_SIZE = 12, TAP_MAX_QUEUES = 8 };

/*
 * Open an existing tap interface, `queues` times, non-blocking, without offloads. 0, or -errno: one line is logged
 * then, which says what to do.
 */
int tap_open(const char *name, unsigned queues, int *fds);
void tap_close(const int *fds, unsigned queues);

/* The offloads (TUN_F_...) that the kernel can be asked for; none are on afterwards. */
unsigned tap_offloads(int fd);

/*
 * What the kernel may leave to the tap's reader: checksums, segmentation. Of the interface, by any attached queue.
 * -errno.
 */
int tap_set_offloads(int fd, unsigned offloads);

/* Let a queue take part, or not; only attached ones may be read, written and polled. -errno. */
int tap_attach(int fd, bool attach);

/* The interface's MTU; 0: not known. */
unsigned tap_mtu(const char *name);

#endif
