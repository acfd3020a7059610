/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The back end's device IOTLB: misses are answered, invalidations handed on.
 *
 * An update must not pass the invalidation that made it stale. Each invalidation counts `generation` up and goes into
 * the socket under one lock; an update goes into it under the same lock, and only if no invalidation has come since
 * before its translation began. The translation itself runs without the lock, which an invalidation takes with the
 * context's held.
 *
 * A miss is answered with the whole extent around the address. There are back ends (DPDK's) that take an entry for
 * known when they have one with the same first address, though it be shorter, or allow less, and ask again and again.
 * So first addresses are remembered, as well as 256 places allow; the second time the answer begins with the page that
 * was asked for, and if that has been a first address, too, it is invalidated before.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <viommu/dma.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/table/writer.h"

enum { PAGE_SHIFT = 12, PAGE_LAST = (1 << PAGE_SHIFT) - 1 };

static const struct range everything = {0, UINT64_MAX};

static void send_iotlb_locked(struct viommu_vhu *vhu, const struct vhu_iotlb *iotlb, const struct vhu_pending *pending)
	REQUIRES(vhu->lock)
{
	struct channel_message message = {.header = {.request = VHU_IOTLB_MSG, .flags = VHU_NEED_REPLY}};

	message.iotlb = *iotlb;
	message.header.size = sizeof(message.iotlb);
	vhu_send_locked(vhu, &message, pending);
}

static uint64_t *start_of(struct viommu_vhu *vhu, uint64_t page)
{
	return &vhu->starts[(page ^ page >> 8 ^ page >> 16) % VHU_STARTS];
}

/* Has a translation been sent that begins with this page? From now on one has. */
static bool note_start_locked(struct viommu_vhu *vhu, uint64_t page) REQUIRES(vhu->lock)
{
	uint64_t *place = start_of(vhu, page);
	bool known = *place == page + 1;

	*place = page + 1;
	return known;
}

static void forget_starts_locked(struct viommu_vhu *vhu, struct range range) REQUIRES(vhu->lock)
{
	uint64_t first = range.first >> PAGE_SHIFT, last = range.last >> PAGE_SHIFT;

	if (last - first >= VHU_STARTS) {
		memset(vhu->starts, 0, sizeof(vhu->starts));
		return;
	}
	for (uint64_t page = first; page <= last; page++)
		if (*start_of(vhu, page) == page + 1)
			*start_of(vhu, page) = 0;
}

/* Ticket 0: nobody waits for it. `since_ns`: when somebody began to; 0: now. */
static void send_invalidate_locked(struct viommu_vhu *vhu, struct range range, uint64_t ticket, uint64_t since_ns)
	REQUIRES(vhu->lock)
{
	const struct vhu_pending pending = {
		.request = VHU_IOTLB_MSG, .purpose = VHU_FOR_INVALIDATE, .ticket = ticket, .since_ns = since_ns};
	/* The length of all there is does not fit: the last byte is of no page that memory could lie in. */
	uint64_t size = range.last - range.first == UINT64_MAX ? UINT64_MAX : range.last - range.first + 1;

	vhu->stats.invalidations++;
	forget_starts_locked(vhu, range);
	send_iotlb_locked(vhu, &(struct vhu_iotlb){.iova = range.first, .size = size, .type = VHU_IOTLB_INVALIDATE},
			  &pending);
}

/* One that is asked for: what it takes away of the rings they are told of again. */
static void invalidate_locked(struct viommu_vhu *vhu, struct range range, uint64_t ticket, uint64_t since_ns)
	REQUIRES(vhu->lock)
{
	send_invalidate_locked(vhu, range, ticket, since_ns);
	vhu_retell_locked(vhu, range);
}

/* One of everything, as soon as others are answered. */
static void owe_locked(struct viommu_vhu *vhu) REQUIRES(vhu->lock)
{
	if (!vhu->owed_ns)
		vhu->owed_ns = vhu_now_ns();
}

/* Begins with the context's lock held. */
static void on_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct viommu_vhu *vhu = opaque;

	lock_take(&vhu->lock);
	/* Who was never sent an update has nothing to forget: its table, if it reads one, waits for it on its own. */
	bool iotlb = vhu->iotlb && vhu->updated;

	vhu->generation++;
	vhu->asked = ticket;
	if (iotlb && (vhu->owed_ns || vhu->invals >= VHU_INVALS))
		owe_locked(vhu);
	else if (iotlb)
		invalidate_locked(vhu, (struct range){first.value, last.value}, ticket, 0);
	if (!iotlb)
		viommu_client_ack(vhu->client, ticket);
	lock_drop(&vhu->lock);
}

int vhu_iotlb_answer(struct viommu_vhu *vhu, const struct vhu_pending *pending, uint64_t status)
{
	if (pending->purpose == VHU_FOR_UPDATE) {
		/* Its queue stands still, which is its own affair. */
		if (status)
			vhu_log(vhu, "the back end refuses a translation (status %" PRIu64 ")", status);
		return 0;
	}
	if (status)
		return vhu_fail(vhu, "the back end refuses an invalidation (status %" PRIu64 ")", status);
	lock_take(&vhu->lock);
	if (vhu->owed_ns) {
		const uint64_t since_ns = vhu->owed_ns;

		vhu->owed_ns = 0;
		invalidate_locked(vhu, everything, vhu->asked, since_ns);
	}
	lock_drop(&vhu->lock);
	viommu_client_ack(vhu->client, pending->ticket);
	return 0;
}

/* A back end may make its guest see faults, as any device may: not more than so many a second. */
static bool may_fault(struct viommu_vhu *vhu)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != vhu->fault_second)
		vhu->faults = 0;
	vhu->fault_second = now.tv_sec;
	return vhu->faults < VHU_FAULTS;
}

/* It is not mapped, or not for this: an access, which the guest hears of. -EAGAIN: it is by now. */
static int report(struct viommu_vhu *vhu, struct viommu_section *section, uint64_t iova, unsigned access, int err)
{
	struct viommu_span span;

	if (!may_fault(vhu))
		return err;
	vhu->faults++;
	return viommu_dma_translate(section, (struct viommu_iova){iova}, 1, access, &span) ? err : -EAGAIN;
}

static bool may_dma(const struct viommu_vhu *vhu)
{
	return !vhu->config.may_dma || vhu->config.may_dma(vhu->config.opaque);
}

/* Whether a miss is about what is over takes a look at rings; a back end can ask for no more than so many a second. */
static bool is_over(struct viommu_vhu *vhu, uint64_t iova, unsigned access)
{
	if (!vhu->config.wants || !may_fault(vhu))
		return false;
	vhu->faults++;
	return !vhu->config.wants(vhu->config.opaque, (struct viommu_iova){iova}, access);
}

/*
 * 0; -EAGAIN; -ECANCELED: no DMA now; -ENOENT: nobody needs it any more; or -EFAULT or -EACCES, and the guest has been
 * told.
 */
static int find_in_section(struct viommu_vhu *vhu, struct viommu_section *section, uint64_t iova, unsigned access,
			   bool miss, struct viommu_extent *extent)
{
	if (!may_dma(vhu))
		return -ECANCELED;
	int err = viommu_dma_extent(section, (struct viommu_iova){iova}, access, false, extent);

	if (!err || err == -EAGAIN)
		return err;
	if (miss && is_over(vhu, iova, access))
		return -ENOENT;
	return report(vhu, section, iova, access, err);
}

static int find_extent(struct viommu_vhu *vhu, uint64_t iova, unsigned access, bool miss, struct viommu_extent *extent)
{
	struct viommu_section section;
	int err = viommu_dma_begin(vhu->config.endpoint, &section);

	if (err)
		return err;
	err = find_in_section(vhu, &section, iova, access, miss, extent);
	viommu_dma_end(&section);
	if (!err && extent->fd < 0) {
		vhu_log(vhu, "0x%" PRIx64 " is memory without a descriptor", iova);
		err = -EFAULT;
	}
	return err;
}

/* What has to be allowed for a request. */
static unsigned needed(const struct viommu_vhu *vhu, unsigned access)
{
	return access == VHU_ACCESS_RW && vhu->config.write_implies_read ? VIOMMU_WRITE : access;
}

static int look_up(struct viommu_vhu *vhu, uint64_t iova, unsigned access, bool miss, struct viommu_extent *extent)
{
	int err = find_extent(vhu, iova, needed(vhu, access), miss, extent);

	if (!err && needed(vhu, access) != access)
		extent->access |= VIOMMU_READ;
	return err;
}

static uint64_t generation(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	uint64_t now = vhu->generation;

	lock_drop(&vhu->lock);
	return now;
}

static void send_update_locked(struct viommu_vhu *vhu, const struct viommu_extent *extent) REQUIRES(vhu->lock)
{
	vhu->stats.updates++;
	vhu->updated = true;
	send_iotlb_locked(vhu,
			  &(struct vhu_iotlb){.iova = extent->first.value,
					      .size = extent->last.value - extent->first.value + 1,
					      .user_address = extent->gpa.value,
					      .access = (uint8_t)extent->access,
					      .type = VHU_IOTLB_UPDATE},
			  &(struct vhu_pending){.request = VHU_IOTLB_MSG, .purpose = VHU_FOR_UPDATE});
}

/* Leave out what lies outside of `range`, which overlaps the extent. */
static void clip(struct viommu_extent *extent, struct range range)
{
	if (extent->first.value < range.first) {
		extent->gpa.value += range.first - extent->first.value;
		extent->first.value = range.first;
	}
	if (extent->last.value > range.last)
		extent->last.value = range.last;
}

static void answer_locked(struct viommu_vhu *vhu, struct viommu_extent *extent, uint64_t iova) REQUIRES(vhu->lock)
{
	const uint64_t start = extent->first.value >> PAGE_SHIFT, page = iova >> PAGE_SHIFT;

	if (note_start_locked(vhu, start)) {
		bool known = page == start || note_start_locked(vhu, page);

		clip(extent, (struct range){page << PAGE_SHIFT, UINT64_MAX});
		if (known)
			send_invalidate_locked(vhu, (struct range){page << PAGE_SHIFT, iova | PAGE_LAST}, 0, 0);
		note_start_locked(vhu, page); /* which invalidating has forgotten */
	}
	send_update_locked(vhu, extent);
}

/* False: an invalidation has come meanwhile. */
static bool send_answer(struct viommu_vhu *vhu, struct viommu_extent *extent, uint64_t iova, uint64_t before)
{
	lock_take(&vhu->lock);
	bool valid = vhu->generation == before;

	if (valid)
		answer_locked(vhu, extent, iova);
	lock_drop(&vhu->lock);
	return valid;
}

/* Put what was found into the shared table. 0: it is there; -ENOSPC: answer with a message; else as try_to_answer(). */
static int put(struct viommu_vhu *vhu, const struct vhu_iotlb *miss)
{
	int err = -ENOSPC;

	if (vhu->shared)
		err = shared_miss(vhu->shared, (struct viommu_iova){miss->iova}, needed(vhu, miss->access), false);
	/* It was there a moment ago. */
	return err == -EFAULT || err == -EACCES ? -EAGAIN : err;
}

/* By the shared table or, where that does not take it, by a message. */
static int answer_found(struct viommu_vhu *vhu, const struct vhu_iotlb *miss, struct viommu_extent *extent,
			uint64_t before)
{
	int err = put(vhu, miss);

	if (err != -ENOSPC)
		return err;
	return send_answer(vhu, extent, miss->iova, before) ? 0 : -EAGAIN;
}

/*
 * 0: answered; -ENOENT: is over; -EFAULT, -EACCES: never will be; else it is to be tried again, soon (-EAGAIN) or later
 * (-ECANCELED).
 */
static int try_to_answer(struct viommu_vhu *vhu, const struct vhu_iotlb *miss)
{
	struct viommu_extent extent;

	for (unsigned i = 0; i < VHU_TRIES; i++) {
		uint64_t before = generation(vhu);
		int err = look_up(vhu, miss->iova, miss->access, true, &extent);

		if (!err)
			err = answer_found(vhu, miss, &extent, before);
		if (err != -EAGAIN)
			return err;
	}
	return -EAGAIN;
}

int vhu_iotlb_miss(struct viommu_vhu *vhu, const struct vhu_iotlb *miss)
{
	int err = try_to_answer(vhu, miss);

	/* Who reads a table looks again, and asks again if it has to. */
	if (!err || (err == -ENOENT && vhu->shared))
		return 0;
	if (err != -EAGAIN && err != -ECANCELED)
		return 1;
	vhu->miss = *miss;
	vhu->deferred = true;
	vhu_wake_in(vhu, err == -EAGAIN ? 0 : VHU_PAUSE_MS);
	return -EAGAIN;
}

/* What is mapped there, and is no access: 0; -EAGAIN; -ECANCELED: no DMA now; -EFAULT: nothing that can be told. */
static int peek(struct viommu_vhu *vhu, uint64_t iova, struct viommu_extent *extent)
{
	struct viommu_section section;
	int err = viommu_dma_begin(vhu->config.endpoint, &section);

	if (err)
		return -EFAULT;
	err = may_dma(vhu) ? viommu_dma_extent(&section, (struct viommu_iova){iova}, 0, false, extent) : -ECANCELED;
	viommu_dma_end(&section);
	if (err == -EAGAIN || err == -ECANCELED)
		return err;
	return err || extent->fd < 0 || !extent->access ? -EFAULT : 0;
}

int vhu_tell(struct viommu_vhu *vhu, uint64_t iova, struct range *told)
{
	struct viommu_extent extent;

	for (unsigned i = 0; i < VHU_TRIES; i++) {
		uint64_t before = generation(vhu);
		int err = peek(vhu, iova, &extent);

		if (err == -EAGAIN)
			continue;
		if (err)
			return err == -ECANCELED ? err : 0;
		if (vhu->config.write_implies_read && extent.access & VIOMMU_WRITE)
			extent.access |= VIOMMU_READ;
		*told = (struct range){extent.first.value, extent.last.value};
		if (send_answer(vhu, &extent, iova, before))
			return 0;
	}
	*told = (struct range){1, 0};
	return -EAGAIN;
}

/* Of what is mapped from rest->first on. False: there is nothing more, or no room. */
static bool push(struct viommu_vhu *vhu, struct range *rest)
{
	struct viommu_extent extent;

	lock_take(&vhu->lock);
	bool room = vhu->runs && !vhu->table && vhu->updates < VHU_UPDATES;
	uint64_t before = vhu->generation;

	lock_drop(&vhu->lock);
	if (!room || peek(vhu, rest->first, &extent))
		return false;
	clip(&extent, *rest);
	lock_take(&vhu->lock);
	bool valid = vhu->generation == before;

	if (valid) {
		note_start_locked(vhu, extent.first.value >> PAGE_SHIFT);
		send_update_locked(vhu, &extent);
	}
	lock_drop(&vhu->lock);
	rest->first = extent.last.value + 1;
	return valid && extent.last.value != rest->last;
}

/* After an attach, which tells of everything, the back end asks for what it needs, but perhaps not for its rings. */
static void on_attach(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	vhu_retell_locked(vhu, everything);
	lock_drop(&vhu->lock);
}

/* What the guest has just mapped it will use soon. With the context's lock held, on the thread that maps. */
static void on_map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	struct viommu_vhu *vhu = opaque;
	struct range rest = {first.value, last.value};

	if (range_contains(rest, everything)) {
		on_attach(vhu);
		return;
	}
	if (!vhu->config.push_maps)
		return;
	for (unsigned i = 0; i < VHU_PUSHES && push(vhu, &rest); i++)
		;
}

const struct viommu_client_ops vhu_client_ops = {.invalidate = on_invalidate, .map = on_map};

void viommu_vhu_flush(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	vhu->generation++;
	vhu->refill = vhu->table;
	if (vhu->refill)
		vhu_wake_locked(vhu);
	if (vhu->updated && vhu->invals >= VHU_INVALS)
		owe_locked(vhu);
	else if (vhu->updated && !vhu->owed_ns)
		invalidate_locked(vhu, everything, 0, 0);
	lock_drop(&vhu->lock);
}

/* Whether the access is blocked is for us to say: the translation itself reports it, as for any other device. */
void vhu_iotlb_blocked(struct viommu_vhu *vhu, const struct vhu_iotlb *blocked)
{
	struct viommu_extent extent;

	look_up(vhu, blocked->iova, blocked->access, false, &extent);
}
