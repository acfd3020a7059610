/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log ("Migration"): a bit in the front end's file for each page that the device has written. A burst takes
 * note of what it translates for writing, and marks it when it ends: a page that the front end copies after it has
 * taken the bit has all that was written. Which addresses a ring is said to have (log_guest_addr) does not matter:
 * pages are those that translations lead to.
 *
 * The front end is told that the log is on, or that there is another one, when no burst knows otherwise: the task of
 * such a message waits for the bursts (vbe_task_quiesce()).
 */
#ifndef LIB_VHOST_USER_BACK_DIRTY_LOG_H
#define LIB_VHOST_USER_BACK_DIRTY_LOG_H

#include <viommu/dma.h>

#include "lib/util/lines.h"
#include "lib/vhost_user/back/memory.h"
#include "lib/vhost_user/back/task.h"

struct vbe_dirty_file;
struct vbe_dirty_note;

struct vbe_dirty_log {
	LINE_ALIGNED struct reaper_account *account;
	struct vbe_dirty_file *_Atomic file; /* the front end's, or NULL; it is used while `on` */
	_Atomic bool on;                     /* each burst reads it */

	LINE_ALIGNED struct lock lock;
	struct vbe_dirty_note *notes GUARDED_BY(lock); /* that no burst uses */
	int event GUARDED_BY(lock);                    /* to be signalled when the log has changed; -1: none */
};

/* -ENOMEM. */
int vbe_dirty_log_init(struct vbe_dirty_log *dirty, struct reaper_account *account);
void vbe_dirty_log_fini(struct vbe_dirty_log *dirty);

/* The file of a message, which has a bit for each page of memory. Errors: the message is refused. */
int vbe_dirty_log_set(struct vbe_dirty_log *dirty, const struct channel_message *message,
		      const struct vbe_memory *memory, struct vbe_task *task);
void vbe_dirty_log_switch(struct vbe_dirty_log *dirty, bool on);
/* The message's descriptor, which is taken. -EINVAL: it is no eventfd. */
int vbe_dirty_log_event(struct vbe_dirty_log *dirty, struct channel_message *message);

/* A burst that is to take note of what it writes. -EAGAIN: no memory. */
int vbe_dirty_log_note(struct vbe_dirty_log *dirty, struct viommu_section *section);

/* A burst begins (-EAGAIN: no memory) and ends. Any thread. */
static inline int vbe_dirty_log_enter(struct vbe_dirty_log *dirty, struct viommu_section *section)
{
	/* The section is open: a thread that switches the log on after this looks at the section, or is seen here. */
	return atomic_load(&dirty->on) ? vbe_dirty_log_note(dirty, section) : 0;
}

void vbe_dirty_log_leave(struct vbe_dirty_log *dirty, struct viommu_section *section);

#endif
