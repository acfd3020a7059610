/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front end's memory: regions with a file descriptor each, mapped here and given to the core. A message that is
 * refused changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/vhost_user/back/internal.h"

/* A region that was taken away. */
struct gone {
	struct vbe_garbage garbage;
	struct vbe_region region;
};

static void unmap(struct vbe_region *region)
{
	munmap(region->map, region->map_size);
}

/*
 * How much of the file to map so that `size` bytes are there, in whole pages of that file system (hugetlbfs). False: it
 * has fewer, and what is beyond its end would kill whoever touches it.
 */
static bool file_holds(int fd, uint64_t size, size_t *map_size)
{
	struct stat stat;

	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || stat.st_size < 0 || (uint64_t)stat.st_size < size)
		return false;
	uint64_t page = stat.st_blksize > 0 ? (uint64_t)stat.st_blksize : VBE_PAGE;

	*map_size = (size + page - 1) / page * page;
	return true;
}

/* The file is mapped from its start: offsets need not suit the page size of a hugetlbfs. */
static int map_region(struct viommu_backend *backend, const struct vhu_region *from, int fd, struct vbe_region *region)
{
	*region = (struct vbe_region){.mmap_offset = from->mmap_offset};
	if (!range_from_len(from->guest_address, from->size, &region->gpa) ||
	    !range_from_len(from->user_address, from->size, &region->user) || !range_aligned(region->gpa, VBE_PAGE) ||
	    from->user_address % VBE_PAGE || from->mmap_offset % VBE_PAGE || from->mmap_offset > INT64_MAX ||
	    from->size > INT64_MAX - from->mmap_offset)
		return -EINVAL;
	if (!file_holds(fd, from->size + from->mmap_offset, &region->map_size)) {
		vbe_log(&backend->log, "a memory region is larger than its file");
		return -EINVAL;
	}
	region->map = mmap(NULL, region->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	return region->map == MAP_FAILED ? -errno : 0;
}

static bool clashes(const struct vbe_region *regions, unsigned count, const struct vbe_region *region)
{
	for (unsigned i = 0; i < count; i++)
		if (range_overlaps(regions[i].gpa, region->gpa) || range_overlaps(regions[i].user, region->user))
			return true;
	return false;
}

/* Map one more region behind `count` others. */
static int map_next(struct viommu_backend *backend, const struct vhu_region *from, int fd, struct vbe_region *regions,
		    unsigned count)
{
	int err = map_region(backend, from, fd, &regions[count]);

	if (!err && clashes(regions, count, &regions[count])) {
		unmap(&regions[count]);
		err = -EEXIST;
	}
	return err;
}

static void free_gone(struct vbe_garbage *garbage)
{
	struct gone *gone = (struct gone *)garbage;

	unmap(&gone->region);
	free(gone);
}

static int give(struct viommu_backend *backend, const struct vbe_region *region)
{
	return viommu_mem_add(backend->v, (struct viommu_gpa){region->gpa.first},
			      region->gpa.last - region->gpa.first + 1, (uint8_t *)region->map + region->mmap_offset,
			      -1, 0);
}

/* Take a region away; it is unmapped when nobody uses it any more. */
static int take(struct viommu_backend *backend, unsigned index, struct vbe_task *task)
{
	struct gone *gone = malloc(sizeof(*gone));
	int err = gone ? viommu_mem_remove(backend->v, (struct viommu_gpa){backend->regions[index].gpa.first},
					   task->inval)
		       : -ENOMEM;

	if (err) {
		free(gone);
		return err;
	}
	gone->region = backend->regions[index];
	vbe_task_discard(task, &gone->garbage, free_gone);
	backend->regions[index] = backend->regions[--backend->region_count];
	return 0;
}

static int map_table(struct viommu_backend *backend, const struct channel_message *message, struct vbe_region *regions)
{
	unsigned count = 0;
	int err = 0;

	for (; !err && count < message->memory.count; count += !err)
		err = map_next(backend, &message->memory.regions[count], message->fds[count], regions, count);
	while (err && count)
		unmap(&regions[--count]);
	return err;
}

/*
 * From here on nothing may fail but for lack of memory; then there is less of it than the front end believes, and it is
 * told so.
 */
static int replace(struct viommu_backend *backend, const struct vbe_region *regions, unsigned count,
		   struct vbe_task *task)
{
	int err = 0;

	while (!err && backend->region_count)
		err = take(backend, backend->region_count - 1, task);
	for (unsigned i = 0; i < count; i++) {
		struct vbe_region region = regions[i];

		if (!err)
			err = give(backend, &region);
		if (err)
			unmap(&region);
		else
			backend->regions[backend->region_count++] = region;
	}
	return err;
}

int vbe_memory_set(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	struct vbe_region regions[VHU_REGIONS_MAX];
	unsigned count = message->memory.count;
	int err;

	if (count > VHU_REGIONS_MAX || count != message->fd_count)
		return -EPROTO;
	err = vbe_task_inval(task);
	if (!err)
		err = map_table(backend, message, regions);
	if (err)
		return err;
	err = replace(backend, regions, count, task);
	/* Translations point to where memory was. */
	if (!err)
		err = vbe_iotlb_clear(backend, task);
	vbe_queues_change(backend);
	return err;
}

int vbe_memory_add(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	unsigned count = backend->region_count;
	int err;

	(void)task;
	if (count == VBE_REGIONS)
		return -ENOSPC;
	err = map_next(backend, &message->single.region, message->fds[0], backend->regions, count);
	if (err)
		return err;
	err = give(backend, &backend->regions[count]);
	if (err) {
		unmap(&backend->regions[count]);
		return err;
	}
	backend->region_count++;
	vbe_queues_change(backend);
	return 0;
}

static bool names(const struct vhu_region *from, const struct vbe_region *region)
{
	return from->guest_address == region->gpa.first && from->user_address == region->user.first &&
	       from->size == region->gpa.last - region->gpa.first + 1;
}

int vbe_memory_remove(struct viommu_backend *backend, struct channel_message *message, struct vbe_task *task)
{
	for (unsigned i = 0; i < backend->region_count; i++) {
		int err;

		if (!names(&message->single.region, &backend->regions[i]))
			continue;
		err = vbe_task_inval(task);
		if (!err)
			err = vbe_iotlb_clear(backend, task);
		if (!err)
			err = take(backend, i, task);
		vbe_queues_change(backend);
		return err;
	}
	return -ENOENT;
}

bool vbe_memory_find(const struct viommu_backend *backend, uint64_t user, uint64_t *gpa, uint64_t *len)
{
	for (unsigned i = 0; i < backend->region_count; i++) {
		const struct vbe_region *region = &backend->regions[i];

		if (!range_has(region->user, user))
			continue;
		*gpa = region->gpa.first + (user - region->user.first);
		*len = region->user.last - user + 1;
		return true;
	}
	return false;
}
