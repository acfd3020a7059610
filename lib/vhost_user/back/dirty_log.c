/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/dirty_log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <viommu/event.h>

#include "lib/core/internal.h"
#include "lib/vhost_user/back/eventfd.h"
#include "lib/vhost_user/wire/reaper.h"

/* A log of 8 TiB of guest memory: marking all of it takes host memory, whatever process pays for it. */
enum { BYTES_MAX = 256 << 20 };

struct vbe_dirty_file {
	struct vbe_garbage garbage;
	uint8_t *map;
	size_t map_size;
	_Atomic uint8_t *bits;
	uint64_t pages; /* so many have a bit */
};

/* What a burst writes, and where it is to say so. */
struct vbe_dirty_note {
	struct dirty dirty;
	const struct vbe_dirty_file *file;
	const struct memory *memory; /* the section's */
	struct vbe_dirty_note *next; /* while no burst uses it */
};

int vbe_dirty_log_init(struct vbe_dirty_log *dirty, struct reaper_account *account) NO_OTHER_THREAD
{
	dirty->account = account;
	dirty->event = -1;
	return lock_init(&dirty->lock);
}

static void dirty_file_free(struct vbe_garbage *garbage)
{
	struct vbe_dirty_file *file = (struct vbe_dirty_file *)garbage;

	munmap(file->map, file->map_size);
	free(file);
}

void vbe_dirty_log_fini(struct vbe_dirty_log *dirty) NO_OTHER_THREAD
{
	struct vbe_dirty_file *file = atomic_load_explicit(&dirty->file, memory_order_relaxed);
	struct vbe_dirty_note *note;

	if (file)
		dirty_file_free(&file->garbage);
	while ((note = dirty->notes)) {
		dirty->notes = note->next;
		free(note);
	}
	if (dirty->event >= 0)
		reaper_close(dirty->account, dirty->event);
	lock_fini(&dirty->lock);
}

/* Every page of memory has its bit. */
static bool dirty_file_covers(uint64_t bytes, const struct vbe_memory *memory)
{
	for (unsigned i = 0; i < memory->count; i++)
		if (memory->regions[i].gpa.last / VHU_LOG_PAGE / 8 >= bytes)
			return false;
	return true;
}

/* Mapped from the file's start, as the offset need not be that of a page; it counts once. */
static int dirty_file_open(const struct vhu_log *where, int fd, const struct vbe_memory *memory,
			   struct vbe_dirty_file **out)
{
	const uint64_t size = where->mmap_size + where->mmap_offset;
	struct vbe_dirty_file *file;
	struct stat stat;

	if (!where->mmap_size || where->mmap_size > BYTES_MAX || where->mmap_offset > SIZE_MAX / 2 ||
	    !dirty_file_covers(where->mmap_size, memory))
		return -EINVAL;
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || stat.st_size < 0 || (uint64_t)stat.st_size < size)
		return -EINVAL;
	file = malloc(sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->map_size = size;
	file->map = mmap(NULL, file->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (file->map == MAP_FAILED) {
		int err = -errno;

		free(file);
		return err;
	}
	file->bits = (_Atomic uint8_t *)(file->map + where->mmap_offset);
	file->pages = where->mmap_size * 8;
	*out = file;
	return 0;
}

int vbe_dirty_log_set(struct vbe_dirty_log *dirty, const struct channel_message *message,
		      const struct vbe_memory *memory, struct vbe_task *task)
{
	const struct vhu_log where = message->log;
	struct vbe_dirty_file *old = atomic_load_explicit(&dirty->file, memory_order_relaxed), *file;
	int err = dirty_file_open(&where, message->fds[0], memory, &file);

	if (err)
		return err;
	if (old)
		vbe_task_discard(task, &old->garbage, dirty_file_free);
	/* Partner: the load in vbe_dirty_log_note(), behind a full fence on both sides. */
	atomic_store(&dirty->file, file);
	return 0;
}

void vbe_dirty_log_switch(struct vbe_dirty_log *dirty, bool on)
{
	/* Partner: the load in vbe_dirty_log_enter(), as in vbe_dirty_log_set(). */
	atomic_store(&dirty->on, on);
}

int vbe_dirty_log_event(struct vbe_dirty_log *dirty, struct channel_message *message)
{
	int err = vbe_eventfd_accept(message->fds[0]);

	if (err)
		return err;
	lock_take(&dirty->lock);
	if (dirty->event >= 0)
		reaper_close(dirty->account, dirty->event);
	dirty->event = message->fds[0];
	lock_drop(&dirty->lock);
	message->fd_count = 0;
	return 0;
}

int vbe_dirty_log_note(struct vbe_dirty_log *dirty, struct viommu_section *section)
{
	const struct vbe_dirty_file *file = atomic_load(&dirty->file);

	if (!file)
		return 0;
	lock_take(&dirty->lock);
	struct vbe_dirty_note *note = dirty->notes;

	if (note)
		dirty->notes = note->next;
	lock_drop(&dirty->lock);
	if (!note)
		note = malloc(sizeof(*note));
	if (!note)
		return -ENOMEM;
	note->dirty.count = 0;
	note->dirty.all = false;
	note->file = file;
	note->memory = section->memory;
	section->dirty = &note->dirty;
	return 0;
}

/* Bytes from gpa.first to gpa.last. Release: the front end that takes a bit sees what was written. */
static void dirty_mark(const struct vbe_dirty_file *file, struct range gpa)
{
	const uint64_t last = gpa.last / VHU_LOG_PAGE;

	for (uint64_t page = gpa.first / VHU_LOG_PAGE; page <= last && page < file->pages;) {
		_Atomic uint8_t *bits = &file->bits[page / 8];

		if (page % 8 == 0 && last - page >= 7) {
			atomic_store_explicit(bits, UINT8_MAX, memory_order_release);
			page += 8;
		} else {
			atomic_fetch_or_explicit(bits, (uint8_t)(1u << page % 8), memory_order_release);
			page++;
		}
	}
}

void vbe_dirty_log_leave(struct vbe_dirty_log *dirty, struct viommu_section *section)
{
	struct vbe_dirty_note *note = section->dirty;

	if (!note)
		return;
	/* More was written than was noted: all of memory, as the burst had it. */
	for (size_t i = 0; i < note->memory->count && note->dirty.all; i++)
		dirty_mark(note->file, note->memory->regions[i].gpa);
	for (unsigned i = 0; i < note->dirty.count && !note->dirty.all; i++)
		dirty_mark(note->file, note->dirty.gpa[i]);
	lock_take(&dirty->lock);
	note->next = dirty->notes;
	dirty->notes = note;
	if (note->dirty.count && dirty->event >= 0)
		viommu_event_signal(dirty->event);
	lock_drop(&dirty->lock);
}
