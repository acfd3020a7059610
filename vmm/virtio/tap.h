/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VMM_VIRTIO_TAP_H
#define VMM_VIRTIO_TAP_H

/* Bytes in front of each frame that a tap takes and gives: struct virtio_net_hdr_mrg_rxbuf. */
enum { TAP_HEADER_SIZE = 12 };

/*
 * Open an existing tap interface, non-blocking, without offloads. The file descriptor, or -errno; one line is logged
 * then, which says what to do.
 */
int tap_open(const char *name);

#endif
