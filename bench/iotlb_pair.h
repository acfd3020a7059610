/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_IOTLB_PAIR_H
#define BENCH_IOTLB_PAIR_H

/* A back end's device IOTLB that messages fill; part of bench_iotlb(). */
void bench_iotlb_pair(void);

#endif
