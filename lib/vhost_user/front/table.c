/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table that a back end reads instead of asking (docs/SHARED-TABLE.md): handed over before the rings, with a
 * connection of its own, and gone with it. It is a client of the endpoint beside the front end's, so an invalidation
 * waits for both.
 */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/iotlb.h"
#include "lib/vhost_user/table/writer.h"

/* A reader stays inside for a burst: it is looked for as often. */
enum { READERS = 64, TABLE_PAUSE_NS = 50000 };

/* A reader is in the way of an invalidation, or has written nonsense. Any thread. */
static void table_look_soon(void *opaque)
{
	struct front_iotlb *iotlb = opaque;

	front_wake(iotlb->link);
}

int front_table_fill(struct front_iotlb *iotlb, struct channel_message *message)
{
	const struct viommu_shared_config config = {
		.size = sizeof(struct viommu_shared_config),
		.slots = READERS,
		.pending = table_look_soon,
		.failed = table_look_soon,
		.opaque = iotlb,
	};
	struct viommu_shared_files files;
	int err = viommu_shared_create(iotlb->config->endpoint, &config, &iotlb->shared);

	if (err)
		return front_fail(iotlb->link, "a shared table: %s", strerror(-err));
	viommu_shared_files_get(iotlb->shared, &files);
	message->table = (struct vhu_shared_table){
		.table_bytes = files.table_bytes, .epochs_bytes = files.epochs_bytes, .slots = files.slots};
	message->header.size = sizeof(message->table);
	message->header.flags = VHU_NEED_REPLY;
	err = front_attach_fd(iotlb->link, message, files.table_fd);
	return err ? err : front_attach_fd(iotlb->link, message, files.epochs_fd);
}

static void table_set(struct front_iotlb *iotlb, bool on)
{
	lock_take(&iotlb->lock);
	iotlb->table = on;
	iotlb->refill = false;
	lock_drop(&iotlb->lock);
}

void front_table_drop(struct front_iotlb *iotlb)
{
	table_set(iotlb, false);
	viommu_shared_destroy(iotlb->shared);
	iotlb->shared = NULL;
	iotlb->inside_ns = 0;
}

/* A back end that does not take it goes on with messages. */
int front_table_answer(struct front_iotlb *iotlb, const struct channel_message *message)
{
	struct front_link *link = iotlb->link;

	if (message->fd_count || message->header.size != sizeof(message->u64))
		return front_fail(link, "malformed acknowledgement of request %u", message->header.request);
	if (message->u64) {
		front_log(link, "the back end refuses the shared table");
		link->protocol &= ~(1ull << VHU_PROTOCOL_F_SHARED_TABLE);
		front_table_drop(iotlb);
		return 0;
	}
	link->stats.tables++;
	table_set(iotlb, true);
	return 0;
}

/* A reader that stays inside is waited for as long as for an acknowledgement. */
static void table_await_readers(struct front_iotlb *iotlb)
{
	const uint64_t now = front_now_ns(), acked = shared_acked(iotlb->shared);
	const unsigned reply_ms = iotlb->config->reply_ms;

	if (!iotlb->inside_ns || acked != iotlb->inside_acked)
		iotlb->inside_ns = now;
	iotlb->inside_acked = acked;
	if (now - iotlb->inside_ns > reply_ms * 1000000ull) {
		front_note_late(iotlb->link);
		front_fail(iotlb->link, "the back end does not leave the shared table within %u ms", reply_ms);
	} else {
		front_wake_at(iotlb->link, now + TABLE_PAUSE_NS);
	}
}

void front_table_serve(struct front_iotlb *iotlb)
{
	if (!iotlb->shared)
		return;
	lock_take(&iotlb->lock);
	bool refill = iotlb->refill;

	iotlb->refill = false;
	lock_drop(&iotlb->lock);
	if (refill)
		viommu_shared_refill(iotlb->shared);
	int err = viommu_shared_poll(iotlb->shared);

	if (err == -EAGAIN)
		table_await_readers(iotlb);
	else
		iotlb->inside_ns = 0;
	if (err && err != -EAGAIN)
		front_fail(iotlb->link, "the back end has written nonsense into the epochs of the shared table");
}
