/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/shared.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/vhost_user/table/view.h"

/* Reading a table takes memory even where nothing was written to it. */
enum { TABLE_MAX = 64 << 20, FILES = 2 };

/* A table that was replaced or taken back. */
struct gone_view {
	struct vbe_garbage garbage;
	struct viommu_shared_view *view;
};

static void view_free(struct vbe_garbage *garbage)
{
	struct gone_view *gone = (struct gone_view *)garbage;

	viommu_shared_view_close(gone->view);
	free(gone);
}

static struct viommu_shared_view *view_of(const struct vbe_shared *shared)
{
	/* Acquire: partner of the release in vbe_shared_set(). */
	return atomic_load_explicit(&shared->view, memory_order_acquire);
}

void vbe_shared_fini(struct vbe_shared *shared)
{
	viommu_shared_view_close(view_of(shared));
}

static int open_view(const struct channel_message *message, struct viommu_shared_view **out)
{
	const struct vhu_shared_table table = message->table;
	const struct viommu_shared_files files = {
		.table_fd = message->fds[0],
		.epochs_fd = message->fds[1],
		.table_bytes = table.table_bytes,
		.epochs_bytes = table.epochs_bytes,
		.slots = table.slots,
	};

	if (message->fd_count != FILES || table.table_bytes > TABLE_MAX)
		return -EINVAL;
	return viommu_shared_view_open(&files, out);
}

int vbe_shared_set(struct vbe_shared *shared, const struct channel_message *message, struct vbe_task *task)
{
	struct viommu_shared_view *view = NULL, *old = view_of(shared);
	struct gone_view *gone = NULL;
	int err = 0;

	if (message->fd_count)
		err = open_view(message, &view);
	if (err)
		/* A refusal must not end the connection as -EPROTO does: the front end goes on with messages. */
		return err == -EPROTO ? -EINVAL : err;
	if (old) {
		gone = malloc(sizeof(*gone));
		if (!gone) {
			viommu_shared_view_close(view);
			return -ENOMEM;
		}
		gone->view = old;
		vbe_task_discard(task, &gone->garbage, view_free);
	}
	/* Release: partner of the acquire in view_of(). */
	atomic_store_explicit(&shared->view, view, memory_order_release);
	return 0;
}

bool vbe_shared_find(const struct vbe_shared *shared, uint64_t iova, unsigned access, struct walk_result *result)
{
	const struct viommu_shared_view *view = view_of(shared);
	struct viommu_shared_extent extent;

	if (!view || shared_view_find(view, iova, access, &extent))
		return false;
	result->iova = (struct range){extent.first.value, extent.last.value};
	result->gpa = extent.gpa.value;
	result->access = extent.access;
	result->once = true;
	return true;
}

int vbe_shared_enter(const struct vbe_shared *shared, const struct viommu_section *section)
{
	const struct viommu_shared_view *view = view_of(shared);

	if (!view)
		return 0;
	if (viommu__section_number(section) >= view->slots)
		return -EAGAIN;
	shared_view_enter(view, viommu__section_number(section));
	return 0;
}

void vbe_shared_leave(const struct vbe_shared *shared, const struct viommu_section *section)
{
	const struct viommu_shared_view *view = view_of(shared);

	if (view)
		shared_view_leave(view, viommu__section_number(section));
}
