/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A region that was taken away. */
struct gone_region {
	struct vbe_garbage garbage;
	struct vbe_region region;
};

static void region_unmap(const struct vbe_region *region)
{
	munmap(region->map, region->map_size);
}

static void region_free(struct vbe_garbage *garbage)
{
	struct gone_region *gone = (struct gone_region *)garbage;

	region_unmap(&gone->region);
	free(gone);
}

/*
 * How much of the file to map so that `size` bytes are there, in whole pages of that file system (hugetlbfs). False: it
 * has fewer, and an access beyond its end would kill the process.
 */
static bool region_file_holds(int fd, uint64_t size, size_t *map_size)
{
	struct stat stat;

	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode) || stat.st_size < 0 || (uint64_t)stat.st_size < size)
		return false;
	uint64_t page = stat.st_blksize > 0 ? (uint64_t)stat.st_blksize : VBE_PAGE;

	*map_size = (size + page - 1) / page * page;
	return true;
}

/* The file is mapped from its start: offsets need not suit the page size of a hugetlbfs. */
static int region_map(const struct vbe_memory *memory, const struct vhu_region *from, int fd, struct vbe_region *region)
{
	*region = (struct vbe_region){.mmap_offset = from->mmap_offset};
	if (!range_from_len(from->guest_address, from->size, &region->gpa) ||
	    !range_from_len(from->user_address, from->size, &region->user) || !range_aligned(region->gpa, VBE_PAGE) ||
	    from->user_address % VBE_PAGE || from->mmap_offset % VBE_PAGE || from->mmap_offset > INT64_MAX ||
	    from->size > INT64_MAX - from->mmap_offset)
		return -EINVAL;
	if (!region_file_holds(fd, from->size + from->mmap_offset, &region->map_size)) {
		vbe_log(memory->log, "a memory region is larger than its file");
		return -EINVAL;
	}
	region->map = mmap(NULL, region->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	return region->map == MAP_FAILED ? -errno : 0;
}

/* Map one more region behind `count` others, which it must not overlap. */
static int region_map_next(const struct vbe_memory *memory, const struct vhu_region *from, int fd,
			   struct vbe_region *regions, unsigned count)
{
	struct vbe_region *region = &regions[count];
	int err = region_map(memory, from, fd, region);

	if (err)
		return err;
	for (unsigned i = 0; i < count; i++) {
		if (!range_overlaps(regions[i].gpa, region->gpa) && !range_overlaps(regions[i].user, region->user))
			continue;
		region_unmap(region);
		return -EEXIST;
	}
	return 0;
}

int vbe_memory_map(const struct vbe_memory *memory, const struct channel_message *message, struct vbe_new_memory *out)
{
	const unsigned count = message->memory.count;
	int err = 0;

	if (count > VHU_REGIONS_MAX || count != message->fd_count)
		return -EPROTO;
	out->count = 0;
	for (; !err && out->count < count; out->count += !err)
		err = region_map_next(memory, &message->memory.regions[out->count], message->fds[out->count],
				      out->regions, out->count);
	while (err && out->count)
		region_unmap(&out->regions[--out->count]);
	return err;
}

/* Give the core a region, which is unmapped if it cannot be. */
static int region_give(struct vbe_memory *memory, const struct vbe_region *region)
{
	int err = viommu_mem_add(memory->v, (struct viommu_gpa){region->gpa.first},
				 region->gpa.last - region->gpa.first + 1, (uint8_t *)region->map + region->mmap_offset,
				 -1, 0);

	if (err)
		region_unmap(region);
	else
		memory->regions[memory->count++] = *region;
	return err;
}

int vbe_memory_take(struct vbe_memory *memory, unsigned index, struct vbe_task *task)
{
	const struct vbe_region *region = &memory->regions[index];
	struct gone_region *gone = malloc(sizeof(*gone));
	int err = -ENOMEM;

	if (gone)
		err = viommu_mem_remove(memory->v, (struct viommu_gpa){region->gpa.first}, task->inval);
	if (err) {
		free(gone);
		return err;
	}
	gone->region = *region;
	vbe_task_discard(task, &gone->garbage, region_free);
	memory->regions[index] = memory->regions[--memory->count];
	return 0;
}

int vbe_memory_replace(struct vbe_memory *memory, const struct vbe_new_memory *by, struct vbe_task *task)
{
	int err = 0;

	while (!err && memory->count)
		err = vbe_memory_take(memory, memory->count - 1, task);
	for (unsigned i = 0; i < by->count; i++) {
		if (err)
			region_unmap(&by->regions[i]);
		else
			err = region_give(memory, &by->regions[i]);
	}
	return err;
}

int vbe_memory_add(struct vbe_memory *memory, const struct channel_message *message)
{
	struct vbe_region region;
	int err;

	if (memory->count == VBE_REGIONS)
		return -ENOSPC;
	err = region_map_next(memory, &message->single.region, message->fds[0], memory->regions, memory->count);
	if (err)
		return err;
	region = memory->regions[memory->count];
	return region_give(memory, &region);
}

int vbe_memory_index(const struct vbe_memory *memory, const struct vhu_region *named)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct vbe_region *region = &memory->regions[i];

		if (named->guest_address == region->gpa.first && named->user_address == region->user.first &&
		    named->size == region->gpa.last - region->gpa.first + 1)
			return (int)i;
	}
	return -ENOENT;
}

bool vbe_memory_find(const struct vbe_memory *memory, uint64_t user, uint64_t *gpa, uint64_t *len)
{
	for (unsigned i = 0; i < memory->count; i++) {
		const struct vbe_region *region = &memory->regions[i];

		if (!range_has(region->user, user))
			continue;
		*gpa = region->gpa.first + (user - region->user.first);
		*len = region->user.last - user + 1;
		return true;
	}
	return false;
}
