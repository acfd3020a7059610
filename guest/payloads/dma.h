/* SPDX-License-Identifier: BSD-2-Clause */
/* An edu device as a maker of single accesses, at addresses of 64 bits. */
#ifndef PAYLOAD_DMA_H
#define PAYLOAD_DMA_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Use the device at a slot from now on; its memory and bus mastering are on, and its buffer has a token, fetched by DMA
 * from memory.
 */
bool dma_open(unsigned slot);

/* One access of eight bytes, of whatever outcome. */
void dma_write(uint64_t iova);
void dma_read(uint64_t iova);

/* Does a write to `iova` arrive at `target`? */
bool dma_lands(uint64_t iova, volatile uint64_t *target);

/* Does a read from `iova` fetch what is at `source`? By way of an address where writes reach `through`. */
bool dma_fetches(uint64_t iova, volatile uint64_t *source, uint64_t way, volatile uint64_t *through);

#endif
