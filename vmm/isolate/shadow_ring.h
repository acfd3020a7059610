/* SPDX-License-Identifier: BSD-2-Clause */
/* What is below the engine: shadow_ring.c, the ring, and shadow_pool.c, the descriptors and pages of requests. */
#ifndef VMM_ISOLATE_SHADOW_RING_H
#define VMM_ISOLATE_SHADOW_RING_H

#include "vmm/isolate/shadow.h"

/* The rings begin anew, empty. */
void shadow_ring_clear(struct shadow *shadow);

/*
 * Put a request into the ring; the back end sees it after shadow_ring_publish(), which says if it wants to be kicked.
 */
void shadow_ring_post(struct shadow *shadow, uint16_t head);
bool shadow_ring_publish(struct shadow *shadow, uint16_t old);

/* Look for used entries: goal is set. 0 or -EPROTO. */
int shadow_ring_look(struct shadow *shadow);

/* The used entry at `seen`: the request's first descriptor, and the length, clamped. 0 or -EPROTO. */
int shadow_ring_used(struct shadow *shadow, uint16_t *head, uint32_t *written);

/* Ask to be called for the next used entry. True: one has come meanwhile. */
bool shadow_ring_ask(struct shadow *shadow);

/* Where a page lies here. */
static inline uint8_t *shadow_page(const struct shadow *shadow, uint16_t page)
{
	return shadow->pages + (uint64_t)page * BOUNCE_PAGE;
}

/* All descriptors and pages are free. */
void shadow_pool_init(struct shadow *shadow);

/* Descriptors and pages for the request that begins with the next free descriptor. 1; 0: later; -E2BIG: never. */
int shadow_pool_take(struct shadow *shadow);

/* Clear what was sent, and `written` of the writable bytes; its descriptors and pages are free. */
void shadow_pool_release(struct shadow *shadow, uint16_t head, uint64_t written);

/* Copy the readable part in, or bytes of the writable part out. 0 or an error of the translation. */
int shadow_pool_copy_in(struct shadow *shadow, struct viommu_section *section, const struct shadow_request *request);
int shadow_pool_copy_out(struct shadow *shadow, struct viommu_section *section, const struct shadow_request *request,
			 uint64_t bytes);

#endif
