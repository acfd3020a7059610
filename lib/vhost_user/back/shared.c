/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations from the front end's shared table (docs/SHARED-TABLE.md), which is looked at before it is asked. Nothing
 * of it is kept: no message says when it is void. A burst is inside from its beginning to its end, in the slot that has
 * the number of its section.
 *
 * Bursts belong to queues that run, and the table changes only while none does. So a burst leaves the table that it
 * entered.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/table/view.h"

/* Reading a table takes memory even where nothing was written to it. */
enum { TABLE_MAX = 64 << 20, FILES = 2 };

/* A table that was replaced or taken back. */
struct gone {
	struct vbe_garbage garbage;
	struct viommu_shared_view *view;
};

static void free_gone(struct vbe_garbage *garbage)
{
	struct gone *gone = (struct gone *)garbage;

	viommu_shared_view_close(gone->view);
	free(gone);
}

static struct viommu_shared_view *view_of(struct viommu_backend *backend)
{
	/* Acquire: partner of the release in vbe_shared_set(). */
	return atomic_load_explicit(&backend->view, memory_order_acquire);
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

/* A refusal must not end the connection as -EPROTO does: the front end goes on with messages. */
int vbe_shared_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	struct viommu_shared_view *view = NULL;
	struct gone *gone = NULL;
	int err = backend->config.shared_table ? 0 : -ENOTSUP;

	if (!err && vbe_queues_run(backend))
		err = -EBUSY;
	if (!err)
		err = vbe_task_inval(task);
	if (!err)
		err = vbe_iotlb_clear(backend, task);
	if (!err && message->fd_count)
		err = open_view(message, &view);
	if (!err && view_of(backend)) {
		gone = malloc(sizeof(*gone));
		err = gone ? 0 : -ENOMEM;
	}
	if (err) {
		viommu_shared_view_close(view);
		return err == -EPROTO ? -EINVAL : err;
	}
	if (gone) {
		gone->view = view_of(backend);
		vbe_task_discard(task, &gone->garbage, free_gone);
	}
	/* Release: partner of the acquire in view_of(). */
	atomic_store_explicit(&backend->view, view, memory_order_release);
	return 0;
}

bool vbe_shared_find(struct viommu_backend *backend, uint64_t iova, unsigned access, struct walk_result *result)
{
	const struct viommu_shared_view *view = view_of(backend);
	struct viommu_shared_extent extent;

	if (!view || shared_view_find(view, iova, access, &extent))
		return false;
	result->iova = (struct range){extent.first.value, extent.last.value};
	result->gpa = extent.gpa.value;
	result->access = extent.access;
	result->once = true;
	return true;
}

int vbe_shared_enter(struct viommu_backend *backend, const struct viommu_section *section)
{
	const struct viommu_shared_view *view = view_of(backend);

	if (!view)
		return 0;
	if (viommu__section_number(section) >= view->slots)
		return -EAGAIN;
	shared_view_enter(view, viommu__section_number(section));
	return 0;
}

void vbe_shared_leave(struct viommu_backend *backend, const struct viommu_section *section)
{
	const struct viommu_shared_view *view = view_of(backend);

	if (view)
		shared_view_leave(view, viommu__section_number(section));
}
