/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end's device IOTLB: what it is sent, and what it has answered.
 *
 * An update must not pass the invalidation that made it stale: viommu_publish() sees to it that it is sent before that,
 * or not at all (lib/core/publish.c).
 *
 * A miss is answered with the whole run around the address. There are back ends (DPDK's) that take an entry for known
 * when they have one with the same first address, though it be shorter, or allow less, and ask again and again. So
 * first addresses are remembered, as well as 256 places allow; the second time the answer begins with the page that was
 * asked for, and if that has been a first address, too, it is invalidated before.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/vhost_user/front/iotlb.h"

enum {
	PAGE_SHIFT = 12,
	PAGE_LAST = (1 << PAGE_SHIFT) - 1,
	INVALS = 64, /* invalidations that may be unanswered: beyond, they become one of everything */
};

#define START_OF(page) (((page) ^ (page) >> 8 ^ (page) >> 16) % FRONT_STARTS)

int front_iotlb_init(struct front_iotlb *iotlb, const struct viommu_vhu_config *config, struct front_link *link)
{
	iotlb->config = config;
	iotlb->link = link;
	return lock_init(&iotlb->lock);
}

void front_iotlb_fini(struct front_iotlb *iotlb)
{
	lock_fini(&iotlb->lock);
}

void front_iotlb_switch(struct front_iotlb *iotlb, bool on)
{
	lock_take(&iotlb->lock);
	iotlb->on = on;
	lock_drop(&iotlb->lock);
}

uint64_t front_iotlb_reset(struct front_iotlb *iotlb)
{
	lock_take(&iotlb->lock);
	const uint64_t asked = iotlb->asked;

	iotlb->on = iotlb->updated = iotlb->runs = false;
	iotlb->owed_ns = 0;
	iotlb->updates = iotlb->invals = iotlb->untold = 0;
	memset(iotlb->starts, 0, sizeof(iotlb->starts));
	lock_drop(&iotlb->lock);
	/* What is being translated on another thread is not for the next connection. */
	if (iotlb->client)
		viommu_publish_cut(iotlb->client);
	return asked;
}

static void iotlb_send_locked(struct front_iotlb *iotlb, const struct vhu_iotlb *what,
			      const struct front_awaited *awaited) REQUIRES(iotlb->lock)
{
	struct channel_message message = {
		.header = {.request = VHU_IOTLB_MSG, .flags = VHU_NEED_REPLY, .size = sizeof(*what)}};

	message.iotlb = *what;
	front_send(iotlb->link, &message, awaited);
}

/* True: a translation was sent that begins with this page. From now on one was. */
static bool iotlb_note_start_locked(struct front_iotlb *iotlb, uint64_t page) REQUIRES(iotlb->lock)
{
	uint64_t *place = &iotlb->starts[START_OF(page)];
	bool known = *place == page + 1;

	*place = page + 1;
	return known;
}

static void iotlb_forget_starts_locked(struct front_iotlb *iotlb, struct range range) REQUIRES(iotlb->lock)
{
	uint64_t first = range.first >> PAGE_SHIFT, last = range.last >> PAGE_SHIFT;

	if (last - first >= FRONT_STARTS) {
		memset(iotlb->starts, 0, sizeof(iotlb->starts));
		return;
	}
	for (uint64_t page = first; page <= last; page++)
		if (iotlb->starts[START_OF(page)] == page + 1)
			iotlb->starts[START_OF(page)] = 0;
}

/* Ticket 0: nothing waits for it. `since_ns`: when the wait began; 0: now. */
static void iotlb_invalidate_locked(struct front_iotlb *iotlb, struct range range, uint64_t ticket, uint64_t since_ns)
	REQUIRES(iotlb->lock)
{
	/* The length of all there is does not fit: the last byte is of no page that memory could lie in. */
	uint64_t size = range.last - range.first == UINT64_MAX ? UINT64_MAX : range.last - range.first + 1;

	iotlb->invals++;
	iotlb->link->stats.invalidations++;
	iotlb_forget_starts_locked(iotlb, range);
	iotlb_send_locked(iotlb, &(struct vhu_iotlb){.iova = range.first, .size = size, .type = VHU_IOTLB_INVALIDATE},
			  &(struct front_awaited){.request = VHU_IOTLB_MSG,
						  .purpose = FRONT_FOR_INVALIDATE,
						  .ticket = ticket,
						  .since_ns = since_ns});
}

static void iotlb_mark_parts_locked(struct front_iotlb *iotlb, struct range range) REQUIRES(iotlb->lock)
{
	for (unsigned i = 0; i < iotlb->part_count && iotlb->untold != iotlb->part_count; i++)
		if (range_overlaps(iotlb->parts[i], range)) {
			iotlb->untold = iotlb->part_count;
			front_wake(iotlb->link);
		}
}

void front_mark_parts(struct front_iotlb *iotlb, struct range range)
{
	lock_take(&iotlb->lock);
	iotlb_mark_parts_locked(iotlb, range);
	lock_drop(&iotlb->lock);
}

/* An invalidation that the guest or the embedder asks for; too many at a time become one of everything. */
static void iotlb_forget_locked(struct front_iotlb *iotlb, struct range range, uint64_t ticket) REQUIRES(iotlb->lock)
{
	if (iotlb->invals >= INVALS && !iotlb->owed_ns)
		iotlb->owed_ns = front_now_ns();
	if (iotlb->owed_ns)
		return;
	iotlb_invalidate_locked(iotlb, range, ticket, 0);
	iotlb_mark_parts_locked(iotlb, range);
}

void front_iotlb_invalidate(struct front_iotlb *iotlb, struct range range, uint64_t ticket)
{
	lock_take(&iotlb->lock);
	iotlb->asked = ticket;
	/* A back end that was sent no update has nothing to forget: its table, if it reads one, waits for it alone. */
	if (iotlb->on && iotlb->updated)
		iotlb_forget_locked(iotlb, range, ticket);
	else
		viommu_client_ack(iotlb->client, ticket);
	lock_drop(&iotlb->lock);
}

void front_iotlb_flush(struct front_iotlb *iotlb)
{
	if (iotlb->client)
		viommu_publish_cut(iotlb->client);
	lock_take(&iotlb->lock);
	iotlb->refill = iotlb->table;
	if (iotlb->refill)
		front_wake(iotlb->link);
	if (iotlb->updated)
		iotlb_forget_locked(iotlb, front_everything, 0);
	lock_drop(&iotlb->lock);
}

int front_iotlb_answer(struct front_iotlb *iotlb, const struct front_awaited *awaited, uint64_t status)
{
	const bool update = awaited->purpose == FRONT_FOR_UPDATE;

	lock_take(&iotlb->lock);
	iotlb->updates -= update;
	iotlb->invals -= !update;
	if (!update && !status && iotlb->owed_ns) {
		iotlb_invalidate_locked(iotlb, front_everything, iotlb->asked, iotlb->owed_ns);
		iotlb_mark_parts_locked(iotlb, front_everything);
		iotlb->owed_ns = 0;
	}
	lock_drop(&iotlb->lock);
	/* A back end that refuses a translation stops its own queue, and nothing else. */
	if (update && status)
		front_log(iotlb->link, "the back end refuses a translation (status %" PRIu64 ")", status);
	else if (status)
		return front_fail(iotlb->link, "the back end refuses an invalidation (status %" PRIu64 ")", status);
	else if (!update)
		viommu_client_ack(iotlb->client, awaited->ticket);
	return 0;
}

int front_iotlb_tell(struct front_iotlb *iotlb, const struct front_ask *ask, struct viommu_extent *found)
{
	const uint64_t page = ask->iova >> PAGE_SHIFT, start = found->first.value >> PAGE_SHIFT;

	lock_take(&iotlb->lock);
	if (!iotlb->on || (!ask->needed && !iotlb->runs)) {
		lock_drop(&iotlb->lock);
		return -ENOTCONN;
	}
	if (iotlb_note_start_locked(iotlb, start)) {
		bool known = page == start || iotlb_note_start_locked(iotlb, page);

		if (page != start) {
			found->gpa.value += (page << PAGE_SHIFT) - found->first.value;
			found->first.value = page << PAGE_SHIFT;
		}
		if (known)
			iotlb_invalidate_locked(iotlb, (struct range){page << PAGE_SHIFT, ask->iova | PAGE_LAST}, 0, 0);
		iotlb_note_start_locked(iotlb, page); /* which invalidating has forgotten */
	}
	iotlb->updated = true;
	iotlb->updates++;
	iotlb->link->stats.updates++;
	iotlb_send_locked(iotlb,
			  &(struct vhu_iotlb){.iova = found->first.value,
					      .size = found->last.value - found->first.value + 1,
					      .user_address = found->gpa.value,
					      .access = (uint8_t)found->access,
					      .type = VHU_IOTLB_UPDATE},
			  &(struct front_awaited){.request = VHU_IOTLB_MSG, .purpose = FRONT_FOR_UPDATE});
	lock_drop(&iotlb->lock);
	return 0;
}

bool front_iotlb_room(struct front_iotlb *iotlb)
{
	lock_take(&iotlb->lock);
	bool room = iotlb->updates < FRONT_UPDATES;

	lock_drop(&iotlb->lock);
	return room;
}
