/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log ("Migration"): a bit in the front end's file for each page that the device has written. A burst takes
 * note of what it translates for writing, and marks it when it ends: a page that the front end copies after it has
 * taken the bit has all that was written. Which addresses a ring is said to have (log_guest_addr) does not matter:
 * pages are those that translations lead to.
 *
 * Whoever is told that the log is on, or that there is another one, is told when no burst knows otherwise.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <viommu/event.h>

#include "lib/vhost_user/back/eventfd.h"
#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/wire/reaper.h"

/* A log of 8 TiB: marking all of it takes memory, whoever pays for it. */
enum { LOG_BYTES_MAX = 256 << 20 };

#define LOG_ALL (1ull << VHU_F_LOG_ALL)

struct vbe_dirty_log {
	struct vbe_garbage garbage;
	uint8_t *map;
	size_t map_size;
	_Atomic uint8_t *bits;
	uint64_t pages; /* so many have a bit */
};

/* What a burst writes, and where it is to say so. */
struct vbe_burst {
	struct dirty dirty;
	const struct vbe_dirty_log *log;
	const struct memory *memory; /* the section's */
	struct vbe_burst *next;      /* while nobody uses it */
};

static bool file_holds(int fd, uint64_t size)
{
	struct stat stat;

	return !fstat(fd, &stat) && S_ISREG(stat.st_mode) && stat.st_size >= 0 && (uint64_t)stat.st_size >= size;
}

/* Every page of memory has its bit. */
static bool covers(const struct viommu_backend *backend, uint64_t bytes)
{
	for (unsigned i = 0; i < backend->region_count; i++)
		if (backend->regions[i].gpa.last / VHU_LOG_PAGE / 8 >= bytes)
			return false;
	return true;
}

/* Mapped from the file's start, as the offset need not be that of a page; it counts once. */
static int open_log(const struct viommu_backend *backend, const struct vhu_log *where, int fd,
		    struct vbe_dirty_log **out)
{
	struct vbe_dirty_log *log;

	if (!where->mmap_size || where->mmap_size > LOG_BYTES_MAX || where->mmap_offset > SIZE_MAX / 2 ||
	    !covers(backend, where->mmap_size) || !file_holds(fd, where->mmap_size + where->mmap_offset))
		return -EINVAL;
	log = malloc(sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->map_size = where->mmap_size + where->mmap_offset;
	log->map = mmap(NULL, log->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (log->map == MAP_FAILED) {
		int err = -errno;

		free(log);
		return err;
	}
	log->bits = (_Atomic uint8_t *)(log->map + where->mmap_offset);
	log->pages = where->mmap_size * 8;
	*out = log;
	return 0;
}

static void free_log(struct vbe_garbage *garbage)
{
	struct vbe_dirty_log *log = (struct vbe_dirty_log *)garbage;

	munmap(log->map, log->map_size);
	free(log);
}

/* The answer waits for the bursts that do not know yet. */
static int await_bursts(struct viommu_backend *backend, struct vbe_task *task)
{
	int err = vbe_task_inval(task);

	return err ? err : viommu_quiesce(backend->endpoint, task->inval);
}

int vbe_log_base(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	struct vbe_dirty_log *old, *log;
	int err = backend->config.dirty_log ? await_bursts(backend, task) : -ENOTSUP;

	if (!err)
		err = open_log(backend, &message->log, message->fds[0], &log);
	if (err)
		return err;
	old = atomic_load_explicit(&backend->dirty_log, memory_order_relaxed);
	if (old)
		vbe_task_discard(task, &old->garbage, free_log);
	/* Partner: the load in vbe_log_enter(), behind a full fence on both sides. */
	atomic_store(&backend->dirty_log, log);
	return 0;
}

int vbe_log_switch(struct viommu_backend *backend, uint64_t features, struct vbe_task *task)
{
	atomic_store(&backend->log_all, features & LOG_ALL);
	return await_bursts(backend, task);
}

int vbe_log_event(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	int err = vbe_eventfd_accept(message->fds[0]);

	(void)task;
	if (err)
		return err;
	lock_take(&backend->lock);
	if (backend->log_event >= 0)
		reaper_close(backend->account, backend->log_event);
	backend->log_event = message->fds[0];
	lock_drop(&backend->lock);
	message->fd_count = 0;
	return 0;
}

static struct vbe_burst *take_burst(struct viommu_backend *backend)
{
	lock_take(&backend->lock);
	struct vbe_burst *burst = backend->bursts;

	if (burst)
		backend->bursts = burst->next;
	lock_drop(&backend->lock);
	return burst ? burst : malloc(sizeof(*burst));
}

int vbe_log_enter(struct viommu_backend *backend, struct viommu_section *section)
{
	/* The section is open: whoever switches the log on after this looks at it, or is seen here. */
	const struct vbe_dirty_log *log = atomic_load(&backend->log_all) ? atomic_load(&backend->dirty_log) : NULL;

	if (!log)
		return 0;
	struct vbe_burst *burst = take_burst(backend);

	if (!burst)
		return -ENOMEM;
	burst->dirty.count = 0;
	burst->dirty.all = false;
	burst->log = log;
	burst->memory = section->memory;
	section->dirty = &burst->dirty;
	return 0;
}

/* Bytes from gpa.first to gpa.last. Release: the front end that takes a bit sees what was written. */
static void mark(const struct vbe_dirty_log *log, struct range gpa)
{
	const uint64_t last = gpa.last / VHU_LOG_PAGE;

	for (uint64_t page = gpa.first / VHU_LOG_PAGE; page <= last && page < log->pages;) {
		if (page % 8 == 0 && last - page >= 7) {
			atomic_store_explicit(&log->bits[page / 8], UINT8_MAX, memory_order_release);
			page += 8;
		} else {
			atomic_fetch_or_explicit(&log->bits[page / 8], (uint8_t)(1u << page % 8), memory_order_release);
			page++;
		}
	}
}

/* More was written than was noted: all of memory, as the burst had it. */
static void mark_all(const struct vbe_burst *burst)
{
	const struct dirty *dirty = &burst->dirty;

	for (size_t i = 0; i < burst->memory->count && dirty->all; i++)
		mark(burst->log, burst->memory->regions[i].gpa);
	for (unsigned i = 0; i < dirty->count && !dirty->all; i++)
		mark(burst->log, dirty->gpa[i]);
}

void vbe_log_leave(struct viommu_backend *backend, struct viommu_section *section)
{
	struct vbe_burst *burst = section->dirty;

	if (!burst)
		return;
	mark_all(burst);
	lock_take(&backend->lock);
	burst->next = backend->bursts;
	backend->bursts = burst;
	if (burst->dirty.count && backend->log_event >= 0)
		viommu_event_signal(backend->log_event);
	lock_drop(&backend->lock);
}

void vbe_log_fini(struct viommu_backend *backend) NO_OTHER_THREAD
{
	struct vbe_burst *burst;
	struct vbe_dirty_log *log = atomic_load_explicit(&backend->dirty_log, memory_order_relaxed);

	if (log)
		free_log(&log->garbage);
	while ((burst = backend->bursts)) {
		backend->bursts = burst->next;
		free(burst);
	}
	if (backend->log_event >= 0)
		reaper_close(backend->account, backend->log_event);
}
