/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of a test program whose content is known, so that a stray write into them shows. */
#ifndef GUEST_PAGE_H
#define GUEST_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_BYTES 4096u

/* A locked page of zeros; NULL when there is none. It lives as long as the program. */
uint8_t *page_alloc(void);

/* Fills the page with bytes that depend on seed and on their place, and says whether it still has them. */
void page_fill(uint8_t *page, uint8_t seed);
bool page_is(const uint8_t *page, uint8_t seed, uint32_t size);

/* The guest-physical address of a page that is in memory; -errno. Only root may know it. */
int page_physical(const uint8_t *page, uint64_t *out);

#endif
