/* SPDX-License-Identifier: BSD-2-Clause */
/* Regions added and removed: a new array is made, published, and the old one left to its readers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core/inval.h"
#include "lib/core/mirror.h"

enum { REGION_ALIGN = 4096 };

static struct memory *current_memory(struct viommu *v)
{
	return atomic_load_explicit(&v->memory, memory_order_relaxed);
}

static struct memory *memory_alloc(size_t count)
{
	struct memory *memory = calloc(1, sizeof(*memory) + count * sizeof(memory->regions[0]));

	if (memory)
		memory->count = count;
	return memory;
}

static void publish(struct viommu *v, struct memory *memory)
{
	/* Release: partner of the acquire in viommu_dma_begin(). */
	atomic_store_explicit(&v->memory, memory, memory_order_release);
}

/* Where a region would stand; -EEXIST if it overlaps one. */
static int find_place(const struct memory *memory, struct range gpa, size_t *place)
{
	*place = 0;
	for (size_t i = 0; i < memory->count; i++) {
		if (range_overlaps(memory->regions[i].gpa, gpa))
			return -EEXIST;
		if (memory->regions[i].gpa.first < gpa.first)
			*place = i + 1;
	}
	return 0;
}

static int add_locked(struct viommu *v, const struct memory_region *region) REQUIRES(v->lock)
{
	struct memory *old = current_memory(v);
	size_t place;
	int err = find_place(old, region->gpa, &place);

	if (err)
		return err;
	struct memory *memory = memory_alloc(old->count + 1);

	if (!memory)
		return -ENOMEM;
	memcpy(memory->regions, old->regions, place * sizeof(*region));
	memory->regions[place] = *region;
	memcpy(memory->regions + place + 1, old->regions + place, (old->count - place) * sizeof(*region));
	/* Mirrors first: where one refuses nobody has seen the region. */
	err = mirrors_memory_added(v, old, memory, region);
	if (err) {
		free(memory);
		return err;
	}
	/* Sections may still read the old array, and adding takes nothing away that one could wait for: keep it. */
	memory->next = old;
	publish(v, memory);
	return 0;
}

int viommu_mem_add(struct viommu *v, struct viommu_gpa gpa, uint64_t size, void *host, int fd, uint64_t fd_offset)
{
	struct memory_region region = {.host = host, .fd = fd, .fd_offset = fd_offset};

	if (!range_from_len(gpa.value, size, &region.gpa) || !range_aligned(region.gpa, REGION_ALIGN) || !host)
		return -EINVAL;
	lock_take(&v->lock);
	int err = add_locked(v, &region);

	lock_drop(&v->lock);
	return err;
}

static int remove_locked(struct viommu *v, uint64_t gpa, struct viommu_inval *inval) REQUIRES(v->lock)
{
	struct memory *old = current_memory(v);
	const struct memory_region *gone = memory_find(old, gpa);

	if (!gone || gone->gpa.first != gpa)
		return -ENOENT;
	int err = viommu__inval_reserve(inval);

	if (err)
		return err;
	struct memory *memory = memory_alloc(old->count - 1);

	if (!memory)
		return -ENOMEM;
	size_t place = (size_t)(gone - old->regions);
	uintptr_t host = (uintptr_t)gone->host;
	struct range range = {host, host + (gone->gpa.last - gone->gpa.first)};

	memcpy(memory->regions, old->regions, place * sizeof(*gone));
	memcpy(memory->regions + place, old->regions + place + 1, (memory->count - place) * sizeof(*gone));
	publish(v, memory);
	mirrors_memory_removed(v, memory, gone);
	*viommu__inval_next(inval) =
		(struct change){.kind = CHANGE_MEMORY, .tag = inval->tag, .range = range, .memory = old};
	return 0;
}

int viommu_mem_remove(struct viommu *v, struct viommu_gpa gpa, struct viommu_inval *inval)
{
	lock_take(&v->lock);
	int err = remove_locked(v, gpa.value, inval);

	lock_drop(&v->lock);
	return err;
}

int viommu_mem_next(struct viommu *v, struct viommu_gpa gpa, struct viommu_region *out)
{
	int err = -ENOENT;

	lock_take(&v->lock);
	const struct memory *memory = current_memory(v);

	for (size_t i = 0; i < memory->count && err; i++) {
		const struct memory_region *region = &memory->regions[i];

		if (region->gpa.last < gpa.value)
			continue;
		*out = (struct viommu_region){.first = {region->gpa.first},
					      .last = {region->gpa.last},
					      .host = region->host,
					      .fd = region->fd,
					      .fd_offset = region->fd_offset};
		err = 0;
	}
	lock_drop(&v->lock);
	return err;
}
