/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine between the guest's queue and the shadow ring. */
#include "vmm/isolate/shadow.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/isolate/shadow_ring.h"

int shadow_init(struct shadow *shadow, const struct bounce *bounce, unsigned queue, const struct shadow_config *config)
{
	const struct bounce_queue at = bounce_queue(bounce, queue);
	const size_t size = bounce->queue_size;

	*shadow = (struct shadow){
		.config = *config,
		.size = bounce->queue_size,
		.page_count = bounce->pages,
		.pages = bounce->host + at.pages,
		.pages_gpa = BOUNCE_BASE + at.pages,
		.desc = (struct vring_desc *)(bounce->host + at.desc),
		.avail = (struct vring_avail *)(bounce->host + at.avail),
		.used = (struct vring_used *)(bounce->host + at.used),
		.own = calloc(size, sizeof(*shadow->own)),
		.requests = calloc(size, sizeof(*shadow->requests)),
		.pending = calloc(size, sizeof(*shadow->pending)),
		.page_next = calloc(bounce->pages, sizeof(*shadow->page_next)),
	};
	if (!shadow->own || !shadow->requests || !shadow->pending || !shadow->page_next) {
		shadow_fini(shadow);
		return -ENOMEM;
	}
	shadow_pool_init(shadow);
	shadow_ring_clear(shadow);
	return 0;
}

void shadow_fini(struct shadow *shadow)
{
	free(shadow->own);
	free(shadow->requests);
	free(shadow->pending);
	free(shadow->page_next);
	*shadow = (struct shadow){0};
}

/* The request was not performed: what the guest finds in it, and its length. */
static uint32_t shadow_fail(struct shadow *shadow, struct viommu_section *section, const struct vq_chain *chain)
{
	const uint8_t status = (uint8_t)shadow->config.failed_status;

	shadow->refused++;
	if (shadow->config.failed_status < 0 || !chain->writable_bytes)
		return 0;
	/* Where that byte cannot be written either, the guest hears of it by the fault only. */
	return vq_copy_out(section, chain, chain->writable_bytes - 1, &status, 1) ? 0 : 1;
}

static int shadow_refuse(struct shadow *shadow, struct vq *vq, struct viommu_section *section,
			 const struct vq_chain *chain)
{
	const int ret = vq_push(vq, section, chain->head, shadow_fail(shadow, section, chain));

	return ret ? ret : 1;
}

/* Move one chain. 1: done; 0: there is none, or no room; or an error of the guest's queue. */
static int shadow_take_one(struct shadow *shadow, struct vq *vq, struct viommu_section *section, uint64_t *spent)
{
	const uint16_t head = shadow->free_desc;
	struct shadow_request *request;
	int ret;

	shadow->starved = !shadow->free_descs;
	if (shadow->starved)
		return 0;
	request = &shadow->requests[head];
	ret = vq_pop(vq, section, &request->chain);
	if (ret <= 0)
		return ret;
	*spent += SHADOW_REQUEST_COST;
	ret = shadow_pool_take(shadow);
	if (ret < 0)
		return shadow_refuse(shadow, vq, section, &request->chain);
	if (!ret) {
		vq_unpop(vq);
		shadow->starved = true;
		return 0;
	}
	*spent += request->chain.readable_bytes;
	if (shadow_pool_copy_in(shadow, section, request)) {
		shadow_pool_release(shadow, head, 0);
		return shadow_refuse(shadow, vq, section, &request->chain);
	}
	request->order = shadow->next_order++;
	shadow_ring_post(shadow, head);
	return 1;
}

/* SHADOW_INTERRUPT or 0, or an error. */
static int wants_interrupt(struct vq *vq, struct viommu_section *section)
{
	const int ret = vq_wants_interrupt(vq, section);

	return ret > 0 ? SHADOW_INTERRUPT : ret;
}

int shadow_take(struct shadow *shadow, struct vq *vq, struct viommu_section *section)
{
	const uint16_t old = shadow->avail_idx;
	uint64_t spent = 0;
	int ret = 1, flags = 0;

	while (ret > 0 && spent < SHADOW_BURST)
		ret = shadow_take_one(shadow, vq, section, &spent);
	if (shadow_ring_publish(shadow, old))
		flags = SHADOW_KICK;
	if (ret > 0)
		flags |= SHADOW_MORE;
	if (ret >= 0)
		ret = wants_interrupt(vq, section);
	return ret < 0 ? ret : flags | ret;
}

/* Copy what one used entry says. 0 or -EPROTO. */
static int give_one(struct shadow *shadow, struct viommu_section *section, uint64_t *spent)
{
	const struct shadow_request *request;
	uint64_t bytes;
	uint32_t written;
	uint16_t head;
	int ret = shadow_ring_used(shadow, &head, &written);

	if (ret)
		return ret;
	request = &shadow->requests[head];
	bytes = shadow->config.copy_all ? request->chain.writable_bytes : written;
	*spent += SHADOW_REQUEST_COST + bytes;
	if (shadow_pool_copy_out(shadow, section, request, bytes))
		written = shadow_fail(shadow, section, &request->chain);
	shadow->pending[shadow->pending_count++] = (struct vq_used){request->chain.head, written};
	shadow_pool_release(shadow, head, bytes);
	shadow->seen++;
	return 0;
}

/* The guest sees what was copied. SHADOW_INTERRUPT or 0, or an error. */
static int shadow_push(struct shadow *shadow, struct vq *vq, struct viommu_section *section)
{
	const unsigned count = shadow->pending_count;
	int ret;

	if (!count)
		return 0;
	shadow->pending_count = 0;
	ret = vq_push_all(vq, section, shadow->pending, count);
	return ret ? ret : wants_interrupt(vq, section);
}

int shadow_give(struct shadow *shadow, struct vq *vq, struct viommu_section *section)
{
	uint64_t spent = 0;
	int ret = shadow->broken ? -EPROTO : 0, flags = 0;

	/* What shadow_restart() could not push goes first: there is room for one round of entries. */
	if (!ret && shadow->seen == shadow->goal && shadow->pending_count) {
		ret = shadow_push(shadow, vq, section);
		return ret < 0 ? ret : ret | SHADOW_MORE;
	}
	if (!ret && shadow->seen == shadow->goal)
		ret = shadow_ring_look(shadow);
	while (!ret && shadow->seen != shadow->goal && spent < SHADOW_BURST)
		ret = give_one(shadow, section, &spent);
	shadow->broken |= ret == -EPROTO;
	if (ret)
		return ret;
	if (shadow->starved && spent)
		flags |= SHADOW_ROOM;
	if (shadow->seen != shadow->goal)
		return flags | SHADOW_MORE;
	ret = shadow_push(shadow, vq, section);
	if (ret < 0)
		return ret;
	return flags | ret | (shadow_ring_ask(shadow) ? SHADOW_MORE : 0);
}

static int by_order(const void *left, const void *right)
{
	const struct shadow_request *a = *(struct shadow_request *const *)left;
	const struct shadow_request *b = *(struct shadow_request *const *)right;

	return a->order < b->order ? -1 : a->order > b->order;
}

/* All requests once more, oldest first. */
static void post_again(struct shadow *shadow)
{
	struct shadow_request *sorted[BOUNCE_MAX_SIZE];
	unsigned count = 0;

	for (unsigned i = 0; i < shadow->size; i++)
		if (shadow->requests[i].busy)
			sorted[count++] = &shadow->requests[i];
	if (count)
		qsort(sorted, count, sizeof(*sorted), by_order);
	for (unsigned i = 0; i < count; i++)
		shadow_ring_post(shadow, (uint16_t)(sorted[i] - shadow->requests));
	shadow_ring_publish(shadow, 0);
}

/*
 * What the last back end has used. Were it alive, it could make this last for ever, so the number of times is limited.
 */
static int give_rest(struct shadow *shadow, struct vq *vq, struct viommu_section *section)
{
	int ret = SHADOW_MORE, flags = 0;

	for (unsigned i = 0; i < 2u * shadow->size && ret > 0 && (ret & SHADOW_MORE); i++) {
		ret = shadow_give(shadow, vq, section);
		if (ret > 0)
			flags |= ret & (SHADOW_INTERRUPT | SHADOW_ROOM);
	}
	if (ret < 0 && ret != -EPROTO)
		return ret;
	ret = shadow_push(shadow, vq, section);
	return ret < 0 ? ret : flags | ret;
}

int shadow_restart(struct shadow *shadow, struct vq *vq, struct viommu_section *section)
{
	const int ret = section ? give_rest(shadow, vq, section) : 0;

	shadow_ring_clear(shadow);
	post_again(shadow);
	return ret;
}

void shadow_reset(struct shadow *shadow)
{
	for (unsigned i = 0; i < shadow->size; i++)
		if (shadow->requests[i].busy)
			shadow_pool_release(shadow, (uint16_t)i, shadow->requests[i].chain.writable_bytes);
	shadow->pending_count = 0;
	shadow->starved = false;
	shadow_pool_init(shadow);
	shadow_ring_clear(shadow);
}
