/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors and bounce pages of a shadow queue. Free ones are lists, and so are a request's: taking some means to
 * cut the list.
 */
#include <errno.h>
#include <string.h>

#include "vmm/isolate/shadow_ring.h"

void shadow_pool_init(struct shadow *shadow)
{
	for (unsigned i = 0; i < shadow->size; i++) {
		shadow->own[i] = (struct vring_desc){.next = (uint16_t)(i + 1)};
		shadow->requests[i].busy = false;
	}
	for (unsigned i = 0; i < shadow->page_count; i++)
		shadow->page_next[i] = (uint16_t)(i + 1);
	shadow->free_desc = shadow->free_page = 0;
	shadow->free_descs = shadow->size;
	shadow->free_pages = shadow->page_count;
	shadow->in_flight = 0;
}

static uint64_t bytes_of(const struct shadow_request *request, unsigned part)
{
	return part == SHADOW_WRITABLE ? request->chain.writable_bytes : request->chain.readable_bytes;
}

static uint64_t pages_for(uint64_t bytes)
{
	return bytes / BOUNCE_PAGE + !!(bytes % BOUNCE_PAGE);
}

/* Give the next free descriptor these bytes; the one before it in the list has become its predecessor. */
static struct vring_desc *add_desc(struct shadow *shadow, struct shadow_request *request, unsigned part, uint64_t addr)
{
	struct vring_desc *desc = &shadow->own[shadow->free_desc];

	desc->addr = addr;
	desc->len = 0;
	desc->flags = VRING_DESC_F_NEXT | (part == SHADOW_WRITABLE ? VRING_DESC_F_WRITE : 0);
	request->last = shadow->free_desc;
	shadow->free_desc = desc->next;
	shadow->free_descs--;
	return desc;
}

/* Where a part's next byte lies. */
struct cursor {
	uint16_t page;
	uint64_t left; /* bytes of the part */
	uint32_t used; /* bytes of the page */
};

/* Descriptors for the next `len` bytes: one for each run of pages. */
static void shadow_pool_add_segment(struct shadow *shadow, struct shadow_request *request, unsigned part,
				    struct cursor *at, uint64_t len)
{
	struct vring_desc *desc = NULL;

	while (len) {
		const uint64_t addr = shadow->pages_gpa + (uint64_t)at->page * BOUNCE_PAGE + at->used;
		const uint32_t piece = len < BOUNCE_PAGE - at->used ? (uint32_t)len : BOUNCE_PAGE - at->used;

		if (!desc || desc->addr + desc->len != addr)
			desc = add_desc(shadow, request, part, addr);
		desc->len += piece;
		len -= piece;
		at->left -= piece;
		at->used += piece;
		if (at->used == BOUNCE_PAGE && at->left) {
			at->page = shadow->page_next[at->page];
			at->used = 0;
		}
	}
}

static void shadow_pool_add_part(struct shadow *shadow, struct shadow_request *request, unsigned part, bool framed)
{
	const struct vq_chain *chain = &request->chain;
	const unsigned first = part == SHADOW_WRITABLE ? chain->readable : 0;
	const unsigned count = part == SHADOW_WRITABLE ? chain->writable : chain->readable;
	struct cursor at = {shadow->free_page, bytes_of(request, part), 0};
	const uint64_t pages = pages_for(at.left);

	if (!at.left)
		return;
	request->pages[part] = shadow->free_page;
	if (!framed)
		shadow_pool_add_segment(shadow, request, part, &at, at.left);
	for (unsigned i = 0; framed && i < count; i++)
		shadow_pool_add_segment(shadow, request, part, &at, chain->segments[first + i].len);
	shadow->free_page = shadow->page_next[at.page];
	shadow->free_pages -= (unsigned)pages;
}

int shadow_pool_take(struct shadow *shadow)
{
	const uint16_t head = shadow->free_desc;
	struct shadow_request *request = &shadow->requests[head];
	const uint64_t pages = pages_for(request->chain.readable_bytes) + pages_for(request->chain.writable_bytes);
	/* Each segment begins a descriptor, and so may each page. */
	const uint64_t framed = request->chain.readable + request->chain.writable + pages -
				!!request->chain.readable_bytes - !!request->chain.writable_bytes;
	const uint64_t descs = framed <= shadow->size ? framed : pages;

	if (pages > shadow->page_count || descs > shadow->size || !descs)
		return -E2BIG;
	if (pages > shadow->free_pages || descs > shadow->free_descs)
		return 0;
	for (unsigned part = 0; part < SHADOW_PARTS; part++)
		shadow_pool_add_part(shadow, request, part, framed <= shadow->size);
	shadow->own[request->last].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	request->busy = true;
	shadow->in_flight++;
	return 1;
}

/* Clear the first bytes of a part, and put its pages before the free ones. */
static void release_part(struct shadow *shadow, const struct shadow_request *request, unsigned part, uint64_t clear)
{
	const uint64_t pages = pages_for(bytes_of(request, part));
	uint16_t page = request->pages[part];

	for (uint64_t i = 0; i < pages; i++) {
		const uint64_t bytes = clear < BOUNCE_PAGE ? clear : BOUNCE_PAGE;

		memset(shadow_page(shadow, page), 0, bytes);
		clear -= bytes;
		if (i + 1 < pages)
			page = shadow->page_next[page];
	}
	if (!pages)
		return;
	shadow->page_next[page] = shadow->free_page;
	shadow->free_page = request->pages[part];
	shadow->free_pages += (unsigned)pages;
}

void shadow_pool_release(struct shadow *shadow, uint16_t head, uint64_t written)
{
	struct shadow_request *request = &shadow->requests[head];

	/* Backwards, so that pages are taken again in the order that they had. */
	release_part(shadow, request, SHADOW_WRITABLE, written);
	release_part(shadow, request, SHADOW_READABLE, request->chain.readable_bytes);
	for (uint16_t i = head;; i = shadow->own[i].next) {
		shadow->free_descs++;
		if (i == request->last)
			break;
	}
	shadow->own[request->last].next = shadow->free_desc;
	shadow->free_desc = head;
	request->busy = false;
	shadow->in_flight--;
}

/* Copy the first `bytes` of one side of the chain to the pages that stand for it, or back from them. */
static int copy_side(struct shadow *shadow, struct viommu_section *section, const struct shadow_request *request,
		     unsigned side, uint64_t bytes)
{
	uint16_t page = request->pages[side];
	int ret = 0;

	for (uint64_t at = 0; at < bytes && !ret; at += BOUNCE_PAGE) {
		const uint64_t len = bytes - at < BOUNCE_PAGE ? bytes - at : BOUNCE_PAGE;
		void *copy = shadow_page(shadow, page);

		ret = side == SHADOW_READABLE ? vq_copy_in(section, &request->chain, at, copy, len)
					      : vq_copy_out(section, &request->chain, at, copy, len);
		page = shadow->page_next[page];
	}
	return ret;
}

int shadow_pool_copy_in(struct shadow *shadow, struct viommu_section *section, const struct shadow_request *request)
{
	return copy_side(shadow, section, request, SHADOW_READABLE, request->chain.readable_bytes);
}

int shadow_pool_copy_out(struct shadow *shadow, struct viommu_section *section, const struct shadow_request *request,
			 uint64_t bytes)
{
	return copy_side(shadow, section, request, SHADOW_WRITABLE, bytes);
}
