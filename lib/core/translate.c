/* SPDX-License-Identifier: BSD-2-Clause */
/* Translation inside a section, and copies through it. The hot path. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/core/dirty.h"
#include "lib/core/target.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Go on while the next leaf continues this one. A fault further on is found when the device gets there. */
static __attribute__((noinline)) void extend(const struct viommu_section *section, uint64_t iova, uint64_t len,
					     unsigned access, struct target *target)
{
	struct target next;

	while (target->len < len && target_find_or_walk(section, iova + target->len, access, &next) &&
	       target_allows(&next, access) && next.gpa == target->gpa + target->len) {
		target->len += next.len;
		target->access &= next.access;
	}
}

static_assert((int)VIOMMU_WORD_NODE == TABLE_NODE && (int)VIOMMU_WORD_PAGE_SHIFT == LEAF_PAGE_SHIFT &&
		      (int)VIOMMU_WORD_INDEX_BITS == TABLE_BITS && VIOMMU_WORD_PAGE_SIZE == 1 << TABLE_PAGE_SHIFT,
	      "dma.h knows the words of the table");
static_assert((int)LEAF_MMIO == VIOMMU_MMIO, "and the table those of its users");

/*
 * Tell viommu_section_walk() where the table is by now. It takes no note of writes, and its shift leaves out the
 * highest level, of which no guest uses addresses.
 */
static inline void aim(struct viommu_section *section)
{
	/* Acquire: partner of the release in root_publish(). */
	const uintptr_t root = atomic_load_explicit(&section->domain->table.root, memory_order_acquire);
	const unsigned level = root & 7, bits = TABLE_PAGE_SHIFT + TABLE_BITS * (level + 1);

	section->reach = 0;
	if (!root || bits >= 64 || section->dirty)
		return;
	section->root = table_child(root - level)->slot;
	section->root_shift = (uint8_t)(64 - bits);
	section->reach = 1ull << bits;
}

/* Most guests have one region that nearly everything lies in. */
static inline const struct memory_region *find_region(struct viommu_section *section, uint64_t gpa)
{
	const struct memory_region *region = section->region;

	if (region && range_has(region->gpa, gpa))
		return region;
	region = memory_find(section->memory, gpa);
	section->region = region;
	if (region) {
		section->near_shift = region->gpa.first - (uintptr_t)region->host;
		section->region_first = region->gpa.first;
		section->region_room = region->gpa.last - region->gpa.first;
		section->region_host = region->host;
	}
	return region;
}

/* Apart from report(), whose callers the compiler then sees never get 0. */
static __attribute__((noinline)) void tell(const struct viommu_section *section, const struct viommu_fault *what)
{
	if (!section->quiet)
		viommu__fault(section->endpoint, section->domain, what);
}

static int report(struct viommu_section *section, const struct viommu_fault *what)
{
	tell(section, what);
	return what->reason == VIOMMU_FAULT_PERMISSION ? -EACCES : -EFAULT;
}

static __attribute__((noinline)) int fault(struct viommu_section *section, uint64_t iova, unsigned access,
					   enum viommu_fault_reason reason)
{
	const struct viommu_domain *domain = section->domain;

	return report(section, &(struct viommu_fault){
				       .domain = domain ? atomic_load_explicit(&domain->id, memory_order_relaxed) : 0,
				       .iova = {iova},
				       .access = access,
				       .reason = reason,
			       });
}

/* Serve a miss by a walk; where it finds nothing, the fault says why in the model's own words. */
static __attribute__((noinline)) int walk_target(struct viommu_section *section, uint64_t iova, unsigned access,
						 struct target *out)
{
	struct walk_result result;
	int err = viommu__domain_walk(section, iova, access, &result);

	if (!err) {
		target_fill(&result, iova, out);
		return 0;
	}
	if (err == -EAGAIN)
		return err;
	return report(section, &(struct viommu_fault){
				       .domain = result.domain_id,
				       .iova = {iova},
				       .access = access,
				       .reason = result.reason,
				       .detail = result.detail,
				       .silent = result.silent,
			       });
}

/* What lies at an address; not yet whether it may be used. 0, or reported. */
static inline int resolve(struct viommu_section *section, uint64_t iova, unsigned access, struct target *out)
{
	const struct viommu_domain *domain = section->domain;
	bool found = target_find(domain, iova, out);

	if (unlikely(domain->walk && !(found && target_allows(out, access))))
		return walk_target(section, iova, access, out);
	return likely(found) ? 0 : fault(section, iova, access, VIOMMU_FAULT_NOT_MAPPED);
}

static enum viommu_fault_reason refusal(const struct target *target, unsigned access)
{
	return (target->access & access) == access ? VIOMMU_FAULT_NO_MEMORY : VIOMMU_FAULT_PERMISSION;
}

/* Each write is taken note of, so what is found without coming here is for reading only. */
static void note_write(struct viommu_section *section, const struct target *target, uint64_t len, unsigned access)
{
	section->near_access &= ~(unsigned)VIOMMU_WRITE;
	if (access & VIOMMU_WRITE)
		dirty_note(section->dirty, target->gpa, len);
}

/* Found and allowed, and memory lies there: tell the device, and remember the whole piece for the next access. */
static inline int settle_target(struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access,
				struct target *target, const struct memory_region *region, struct viommu_span *out)
{
	uint64_t ahead = target->gpa - region->gpa.first, room = region->gpa.last - target->gpa + 1;

	if (target->len > room)
		target->len = room;
	if (target->before > ahead)
		target->before = ahead;
	out->iova.value = iova;
	out->host = region->host + ahead;
	out->gpa.value = target->gpa;
	out->len = len < target->len ? len : target->len;
	section->near_iova = iova - target->before;
	section->near_len = target->len + target->before;
	section->near_host = (uint8_t *)out->host - target->before;
	section->near_access = target->access;
	if (unlikely(section->dirty))
		note_write(section, target, out->len, access);
	return 0;
}

int viommu_dma_translate_far(struct viommu_section *section, struct viommu_iova at, uint64_t len, unsigned access,
			     struct viommu_span *out)
{
	const uint64_t iova = at.value;
	const struct viommu_domain *domain = section->domain;
	struct target target;
	int err;

	if (unlikely(!len || iova > UINT64_MAX - (len - 1)))
		return -EINVAL;
	if (unlikely(!domain))
		return fault(section, iova, access, VIOMMU_FAULT_BLOCKED);
	err = resolve(section, iova, access, &target);
	if (unlikely(err))
		return err;
	if (unlikely(!target_allows(&target, access)))
		return fault(section, iova, access, refusal(&target, access));
	const struct memory_region *region = find_region(section, target.gpa);

	if (unlikely(!region))
		return fault(section, iova, access, VIOMMU_FAULT_NO_MEMORY);
	aim(section);
	/* No further than memory goes in one piece: guests map more than that. */
	if (len > region->gpa.last - target.gpa + 1)
		len = region->gpa.last - target.gpa + 1;
	if (target.len < len && !domain->identity)
		extend(section, iova, len, access, &target);
	return settle_target(section, iova, len, access, &target, region, out);
}

int viommu_dma_translate(struct viommu_section *section, struct viommu_iova iova, uint64_t len, unsigned access,
			 struct viommu_span *out)
{
	if (likely(viommu_section_near(section, iova, len, access, out) ||
		   viommu_section_walk(section, iova, len, access, out)))
		return 0;
	return viommu_dma_translate_far(section, iova, len, access, out);
}

/* Copy piece by piece inside one section: to the buffer where the device reads memory, from it where it writes. */
static int copy(struct viommu_endpoint *endpoint, uint64_t iova, uint8_t *buffer, size_t len, unsigned access)
{
	struct viommu_section section;
	struct viommu_span span;
	int err = len ? viommu_dma_begin(endpoint, &section) : 0;

	if (err || !len)
		return err;
	for (size_t done = 0; done < len; done += span.len) {
		err = viommu_dma_translate(&section, (struct viommu_iova){iova + done}, len - done, access, &span);
		if (err)
			break;
		if (access == VIOMMU_READ)
			memcpy(buffer + done, span.host, span.len);
		else
			memcpy(span.host, buffer + done, span.len);
	}
	viommu_dma_end(&section);
	return err;
}

int viommu_dma_read(struct viommu_endpoint *endpoint, struct viommu_iova iova, void *buffer, size_t len)
{
	return copy(endpoint, iova.value, buffer, len, VIOMMU_READ);
}

int viommu_dma_write(struct viommu_endpoint *endpoint, struct viommu_iova iova, const void *buffer, size_t len)
{
	return copy(endpoint, iova.value, (uint8_t *)buffer, len, VIOMMU_WRITE);
}
