/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table that a back end reads instead of asking (docs/SHARED-TABLE.md): handed over before the rings, with a
 * connection of its own, and gone with it. It is a client of the endpoint beside the front end's, so an invalidation
 * waits for both.
 */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/table/writer.h"

/* Who is inside stays there for a burst: it is looked for as often. */
enum { READERS = 64, TABLE_PAUSE_NS = 50000 };

static void set_table(struct viommu_vhu *vhu, bool on)
{
	lock_take(&vhu->lock);
	vhu->table = on;
	vhu->refill = false;
	vhu->stats.tables += on;
	lock_drop(&vhu->lock);
}

void vhu_drop_table(struct viommu_vhu *vhu)
{
	set_table(vhu, false);
	viommu_shared_destroy(vhu->shared);
	vhu->shared = NULL;
	vhu->inside_ns = 0;
}

bool vhu_wants_table(const struct viommu_vhu *vhu)
{
	return vhu_has(vhu, VHU_PROTOCOL_F_SHARED_TABLE) && !vhu->shared;
}

static bool may_dma(void *opaque)
{
	const struct viommu_vhu *vhu = opaque;

	return !vhu->config.may_dma || vhu->config.may_dma(vhu->config.opaque);
}

/* Somebody is in the way of an invalidation, or has written nonsense. Any thread. */
static void look_soon(void *opaque)
{
	vhu_wake(opaque);
}

static int create(struct viommu_vhu *vhu)
{
	const struct viommu_shared_config config = {
		.slots = READERS,
		.may_dma = may_dma,
		.pending = look_soon,
		.failed = look_soon,
		.opaque = vhu,
	};
	int err = viommu_shared_create(vhu->config.endpoint, &config, &vhu->shared);

	return err ? vhu_fail(vhu, "a shared table: %s", strerror(-err)) : 0;
}

int vhu_fill_table(struct viommu_vhu *vhu, struct channel_message *message)
{
	struct viommu_shared_files files;
	int err = create(vhu);

	if (err)
		return err;
	viommu_shared_files_get(vhu->shared, &files);
	message->table = (struct vhu_shared_table){
		.table_bytes = files.table_bytes, .epochs_bytes = files.epochs_bytes, .slots = files.slots};
	message->header.size = sizeof(message->table);
	message->header.flags = VHU_NEED_REPLY;
	err = vhu_attach_fd(vhu, message, files.table_fd);
	return err ? err : vhu_attach_fd(vhu, message, files.epochs_fd);
}

/* A back end that does not take it goes on with messages. */
int vhu_got_table(struct viommu_vhu *vhu, struct channel_message *message)
{
	if (message->fd_count || message->header.size != sizeof(message->u64))
		return vhu_fail(vhu, "malformed acknowledgement of request %u", message->header.request);
	if (message->u64) {
		vhu_log(vhu, "the back end refuses the shared table");
		vhu->protocol &= ~(1ull << VHU_PROTOCOL_F_SHARED_TABLE);
		vhu_drop_table(vhu);
		return 0;
	}
	set_table(vhu, true);
	return 0;
}

/* Who stays inside is waited for as long as for an acknowledgement. */
static void await_readers(struct viommu_vhu *vhu)
{
	const uint64_t now = vhu_now_ns(), acked = shared_acked(vhu->shared);

	if (!vhu->inside_ns || acked != vhu->inside_acked)
		vhu->inside_ns = now;
	vhu->inside_acked = acked;
	if (now - vhu->inside_ns > vhu->config.reply_ms * 1000000ull) {
		vhu_note_late(vhu);
		vhu_fail(vhu, "the back end does not leave the shared table within %u ms", vhu->config.reply_ms);
	} else {
		vhu_wake_at(vhu, now + TABLE_PAUSE_NS);
	}
}

void vhu_serve_table(struct viommu_vhu *vhu)
{
	if (!vhu->shared)
		return;
	lock_take(&vhu->lock);
	bool refill = vhu->refill;

	vhu->refill = false;
	lock_drop(&vhu->lock);
	if (refill)
		viommu_shared_refill(vhu->shared);
	int err = viommu_shared_poll(vhu->shared);

	if (err == -EAGAIN)
		await_readers(vhu);
	else if (err)
		vhu_fail(vhu, "the back end has written nonsense into the epochs of the shared table");
	if (err != -EAGAIN)
		vhu->inside_ns = 0;
}
