/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_IOTLB_VHOST_H
#define BENCH_IOTLB_VHOST_H

/*
 * The kernel's device IOTLB, as vhost-net uses it; part of bench_iotlb(). Left out, with a line that says why, where
 * there is none.
 */
void bench_iotlb_vhost(void);

#endif
