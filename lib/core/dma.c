/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections, translation, holds: what a device does. The hot path. */
#include <errno.h>
#include <string.h>

#include "lib/core/dirty.h"
#include "lib/core/target.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Where this thread found a free slot last. Only a hint: any value is right. */
static __thread unsigned slot_hint __attribute__((tls_model("initial-exec")));

/* Slots from `index` on are in use from now on: a scan that misses the new mark comes before our claim's effects. */
static void raise_high_water(struct section_table *sections, unsigned index)
{
	unsigned mark = atomic_load_explicit(&sections->high_water, memory_order_relaxed);

	while (mark <= index)
		/* Sequentially consistent: before the second look at the tag; partner: the fence in inval.c. */
		if (atomic_compare_exchange_weak(&sections->high_water, &mark, index + 1))
			break;
}

static bool claim(struct section_slot *slot, uint32_t tag)
{
	uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1;
	uint64_t expected = 0, word = (uint64_t)sequence << 32 | tag;

	/* Sequentially consistent, a full fence: partner of the one in viommu_inval_begin(). */
	if (!atomic_compare_exchange_strong(&slot->word, &expected, word))
		return false;
	atomic_store_explicit(&slot->sequence, sequence, memory_order_relaxed);
	return true;
}

static struct section_slot *claim_any(struct section_table *sections, uint32_t tag)
{
	for (unsigned i = 0; i < SECTION_SLOTS; i++) {
		unsigned index = (slot_hint + i) % SECTION_SLOTS;

		if (claim(&sections->slots[index], tag)) {
			slot_hint = index;
			raise_high_water(sections, index);
			return &sections->slots[index];
		}
	}
	return NULL;
}

/*
 * The endpoint may have moved while we claimed. Once the slot shows what the tag says, whoever moves it next awaits us.
 */
static uint32_t settle(struct section_slot *slot, struct viommu_endpoint *endpoint, uint32_t tag)
{
	uint64_t sequence = atomic_load_explicit(&slot->word, memory_order_relaxed) >> 32;

	for (;;) {
		uint32_t now = atomic_load(&endpoint->tag);

		if (now == tag)
			return tag;
		tag = now;
		atomic_store(&slot->word, sequence << 32 | tag);
	}
}

int viommu_dma_begin(struct viommu_endpoint *endpoint, struct viommu_section *section)
{
	struct viommu *v = endpoint->v;
	uint32_t tag = atomic_load_explicit(&endpoint->tag, memory_order_relaxed);
	struct section_slot *slot = claim_any(&v->sections, tag);

	if (!slot)
		return -EAGAIN;
	tag = settle(slot, endpoint, tag);
/* On x86-64 a read-modify-write is a full fence for everything; elsewhere only for what is atomic like it. */
#ifndef __x86_64__
	atomic_thread_fence(memory_order_seq_cst);
#endif
	section->endpoint = endpoint;
	section->slot = slot;
	section->region = NULL;
	section->quiet = false;
	section->dirty = NULL;
	section->near_iova = section->near_len = 0;
	/* Acquire: partners are the releases where domains and arrays of regions are published. */
	section->domain = atomic_load_explicit(&v->by_index[section_domain(tag)], memory_order_acquire);
	section->memory = atomic_load_explicit(&v->memory, memory_order_acquire);
	return 0;
}

void viommu_dma_end(struct viommu_section *section)
{
	struct section_slot *slot = section->slot;

	/* Release: partner of the acquires in inval.c; our accesses are over before the slot is free. */
	atomic_store_explicit(&slot->word, 0, memory_order_release);
}

/* Go on while the next leaf continues this one. A fault further on is found when the device gets there. */
static void extend(const struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access,
		   struct target *target)
{
	struct target next;

	while (target->len < len && target_find_or_walk(section, iova + target->len, access, &next) &&
	       target_allows(&next, access) && next.gpa == target->gpa + target->len) {
		target->len += next.len;
		target->access &= next.access;
	}
}

/* Most guests have one region that nearly everything lies in. */
static inline const struct memory_region *find_region(struct viommu_section *section, uint64_t gpa)
{
	const struct memory_region *region = section->region;

	if (region && range_has(region->gpa, gpa))
		return region;
	region = memory_find(section->memory, gpa);
	section->region = region;
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

static int fault(struct viommu_section *section, uint64_t iova, unsigned access, enum viommu_fault_reason reason)
{
	const struct viommu_domain *domain = section->domain;

	return report(section, &(struct viommu_fault){
				       .domain = domain ? atomic_load_explicit(&domain->id, memory_order_relaxed) : 0,
				       .iova = {iova},
				       .access = access,
				       .reason = reason,
			       });
}

/* Serve a miss by a walk; who cannot be served is told why in the model's own words. */
static int walk_target(struct viommu_section *section, uint64_t iova, unsigned access, struct target *out)
{
	struct walk_result result;
	int err = viommu__domain_walk(section->domain, section->memory, iova, access, &result);

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
	out->len = len < target->len ? len : target->len;
	section->near_iova = iova - target->before;
	section->near_len = target->len + target->before;
	section->near_host = (uint8_t *)out->host - target->before;
	section->near_access = target->access;
	if (unlikely(section->dirty))
		note_write(section, target, out->len, access);
	return 0;
}

static int translate_far(struct viommu_section *section, uint64_t iova, uint64_t len, unsigned access,
			 struct viommu_span *out)
{
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
	uint64_t offset = iova.value - section->near_iova;

	/* What this section has translated stays valid until it ends: invalidations wait for it. */
	if (__builtin_expect(offset < section->near_len && len - 1 < section->near_len - offset &&
				     !(access & ~section->near_access),
			     1)) {
		out->iova = iova;
		out->len = len;
		out->host = section->near_host + offset;
		return 0;
	}
	return translate_far(section, iova.value, len, access, out);
}

void viommu_dma_hold(struct viommu_section *section, struct viommu_hold *hold, const struct viommu_span *spans,
		     size_t count)
{
	struct viommu_domain *domain = section->domain;

	*hold = (struct viommu_hold){.endpoint = section->endpoint,
				     .domain = domain,
				     .spans = spans,
				     .count = count,
				     .cancel = hold->cancel};
	if (!domain)
		return; /* blocked: there are no spans */
	lock_take(&domain->holds_lock);
	struct viommu_hold *next = atomic_load_explicit(&domain->holds, memory_order_relaxed);

	/* The ticket is drawn inside the section, so an invalidation that awaits the section sees a smaller one. */
	hold->ticket = 1 + atomic_fetch_add_explicit(&domain->v->tickets, 1, memory_order_relaxed);
	hold->next = next;
	if (next)
		next->prev = hold;
	/* Read without the lock in inval.c, ordered by the end of this section. */
	atomic_store_explicit(&domain->holds, hold, memory_order_relaxed);
	lock_drop(&domain->holds_lock);
}

void viommu_dma_release(struct viommu_hold *hold)
{
	struct viommu_domain *domain = hold->domain;

	if (!domain)
		return;
	lock_take(&domain->holds_lock);
	if (hold->next)
		hold->next->prev = hold->prev;
	if (hold->prev)
		hold->prev->next = hold->next;
	else
		/* Release: partner of the acquire in inval.c; the I/O is over before the list is empty. */
		atomic_store_explicit(&domain->holds, hold->next, memory_order_release);
	atomic_fetch_add_explicit(&domain->releases, 1, memory_order_relaxed);
	lock_drop(&domain->holds_lock);
	hold->domain = NULL;
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
