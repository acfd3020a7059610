/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end's memory: regions with a file descriptor each, mapped here and given to the core. The serving thread's.
 */
#ifndef LIB_VHOST_USER_BACK_MEMORY_H
#define LIB_VHOST_USER_BACK_MEMORY_H

#include "lib/util/range.h"
#include "lib/vhost_user/back/task.h"

enum { VBE_PAGE = 4096, VBE_REGIONS = 64 };

/* Addresses are the front end's own, closed ranges. */
struct vbe_region {
	struct range gpa, user;
	uint64_t mmap_offset;
	void *map; /* all of the mapping; the region begins at an offset in it */
	size_t map_size;
};

struct vbe_memory {
	struct viommu *v;
	const struct vbe_log *log;
	struct vbe_region regions[VBE_REGIONS];
	unsigned count;
};

/* What a message brings: mapped, and not given to the core yet. */
struct vbe_new_memory {
	struct vbe_region regions[VHU_REGIONS_MAX];
	unsigned count;
};

/* Map what a message brings. Errors: the message is refused. */
int vbe_memory_map(const struct vbe_memory *memory, const struct channel_message *message, struct vbe_new_memory *out);
/*
 * It takes the place of all that was there. Nothing may fail but for lack of memory; then there is less of it than the
 * front end believes, and it is told so.
 */
int vbe_memory_replace(struct vbe_memory *memory, const struct vbe_new_memory *by, struct vbe_task *task);

/* One region more. A message that is refused changes nothing. */
int vbe_memory_add(struct vbe_memory *memory, const struct channel_message *message);
/* Which region a message names, or -ENOENT. */
int vbe_memory_index(const struct vbe_memory *memory, const struct vhu_region *named);
/* Take a region away; it is unmapped when nobody uses it any more. The task has its invalidation. -ENOMEM. */
int vbe_memory_take(struct vbe_memory *memory, unsigned index, struct vbe_task *task);

/* Where the front end's address lies in guest memory, and how far that goes on. False: nowhere. */
bool vbe_memory_find(const struct vbe_memory *memory, uint64_t user, uint64_t *gpa, uint64_t *len);

#endif
