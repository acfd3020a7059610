/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections begin and end: a slot is claimed, its word settled, and cleared. */
#include <errno.h>

#include "lib/core/client.h"
#include "lib/core/internal.h"
#include "lib/core/wake.h"

/* Where this thread found a free slot last. Only a hint: any value is right. */
static __thread unsigned slot_hint __attribute__((tls_model("initial-exec")));

/* Slots from `index` on are in use from now on: a scan that misses the new mark comes before our claim's effects. */
static void raise_high_water(struct section_table *sections, unsigned index)
{
	unsigned mark = atomic_load_explicit(&sections->high_water, memory_order_relaxed);

	while (mark <= index)
		/* Sequentially consistent: before the second look at the tag; partner: the fence in work_begin(). */
		if (atomic_compare_exchange_weak(&sections->high_water, &mark, index + 1))
			break;
}

static bool claim(struct section_slot *slot, uint32_t tag)
{
	uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed) + 1;
	uint64_t expected = 0, word = (uint64_t)sequence << 32 | tag;

#ifdef VIOMMU_MUTANT_FENCE /* wrong on purpose: no fence, so what the section loads may pass the claim */
	if (atomic_load_explicit(&slot->word, memory_order_relaxed) != expected)
		return false;
	atomic_store_explicit(&slot->word, word, memory_order_relaxed);
#else
	/* Sequentially consistent, a full fence: partner of the one in work_begin(). */
	if (!atomic_compare_exchange_strong(&slot->word, &expected, word))
		return false;
#endif
	atomic_store_explicit(&slot->sequence, sequence, memory_order_relaxed);
	return true;
}

/* Inlined into both users: a call costs the hot path eight instructions. */
static inline __attribute__((always_inline)) struct section_slot *claim_any(struct section_table *sections,
									    uint32_t tag)
{
	for (unsigned i = 0; i < SECTION_SLOTS; i++) {
		unsigned index = (slot_hint + i) % SECTION_SLOTS;
		struct section_slot *slot = &sections->slots[index];

		if (claim(slot, tag)) {
			slot_hint = index;
			raise_high_water(sections, index);
			return slot;
		}
	}
	return NULL;
}

/*
 * The endpoint may have moved while we claimed. Once the slot shows what the tag says, the next move of the endpoint
 * waits for us.
 */
static uint32_t settle(struct section_slot *slot, struct viommu_endpoint *endpoint, uint32_t tag)
{
	for (;;) {
		uint32_t now = atomic_load(&endpoint->tag);

		if (now == tag)
			return tag;
		uint64_t sequence = atomic_load_explicit(&slot->word, memory_order_relaxed) >> 32;

		tag = now;
		atomic_store(&slot->word, sequence << 32 | tag);
	}
}

static inline void section_leave(struct section_slot *slot)
{
	/* Release: partner of the acquires in inval.c; our accesses are over before the slot is free. */
	atomic_store_explicit(&slot->word, 0, memory_order_release);
	/* Partner: the membarrier in wake.c, which makes this order of the program one of the processor. */
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&slot->flags, memory_order_relaxed) != 0, 0))
		wake_section_left(slot);
}

/* The slot of endpoint->v has been claimed, with this tag. */
static inline void section_enter(struct viommu_section *section, struct viommu_endpoint *endpoint, struct viommu *v,
				 struct section_slot *slot, uint32_t tag)
{
/* On x86-64 a read-modify-write is a full fence for everything; elsewhere only for what is atomic like it. */
#if !defined(__x86_64__) && !defined(VIOMMU_MUTANT_FENCE)
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
}

/*
 * The tag names no domain: the endpoint is blocked or paused. It may have been resumed meanwhile:
 * viommu_endpoint_pause() sets `paused` before the tag, viommu_endpoint_resume() clears it after the tag.
 */
static __attribute__((noinline)) int enter_without_domain(struct viommu_section *section,
							  struct viommu_endpoint *endpoint, struct section_slot *slot,
							  uint32_t tag)
{
	do {
		/* Acquire: partner of the release in viommu_endpoint_resume(). */
		if (atomic_load_explicit(&endpoint->paused, memory_order_acquire)) {
			section_leave(slot);
			return -ECANCELED;
		}
		tag = settle(slot, endpoint, tag);
	} while (!section_domain(tag) && atomic_load(&endpoint->paused));
	section_enter(section, endpoint, endpoint->v, slot, tag);
	return 0;
}

int viommu_dma_begin(struct viommu_endpoint *endpoint, struct viommu_section *section)
{
	struct viommu *v = endpoint->v;
	uint32_t tag = atomic_load_explicit(&endpoint->tag, memory_order_relaxed);
	struct section_slot *slot = claim_any(&v->sections, tag);

	if (!slot)
		return -EAGAIN;
	tag = settle(slot, endpoint, tag);
	/* The call comes last, so that registers need not be saved for it. */
	if (__builtin_expect(!section_domain(tag), 0))
		return enter_without_domain(section, endpoint, slot, tag);
	section_enter(section, endpoint, v, slot, tag);
	return 0;
}

int viommu__look_begin(struct viommu_endpoint *endpoint, struct viommu_section *section)
{
	struct viommu *v = endpoint->v;
	int err = viommu_dma_begin(endpoint, section);

	if (err != -ECANCELED)
		return err;
	/* With the lock the endpoint does not move, so there is nothing to settle. */
	lock_take(&v->lock);
	const struct viommu_domain *domain = endpoint->failed ? NULL : endpoint->domain;
	const uint32_t tag = (uint32_t)endpoint->index << 16 | (domain ? domain->index : 0);
	struct section_slot *slot = claim_any(&v->sections, tag);

	lock_drop(&v->lock);
	if (!slot)
		return -EAGAIN;
	section_enter(section, endpoint, v, slot, tag);
	return 0;
}

enum viommu__space viommu__section_space(const struct viommu_section *section)
{
	const struct viommu_domain *domain = section->domain;

	if (!domain)
		return VIOMMU__SPACE_NONE;
	if (!domain->walk)
		return VIOMMU__SPACE_KNOWN;
	return domain->walk->told ? VIOMMU__SPACE_TOLD : VIOMMU__SPACE_ASKED;
}

enum viommu__space viommu__client_look(const struct viommu_client *client, struct viommu_section *section)
{
	struct viommu_endpoint *endpoint = client->endpoint;
	struct viommu *v = endpoint->v;
	/* Written under the lock that the caller holds. */
	const uint32_t tag = atomic_load_explicit(&endpoint->tag, memory_order_relaxed);

	if (!section_domain(tag))
		return VIOMMU__SPACE_NONE;
	section_enter(section, endpoint, v, &v->sections.slots[SECTION_SLOT_LOOK], tag);
	return viommu__section_space(section);
}

void viommu_dma_end(struct viommu_section *section)
{
	section_leave(section->slot);
}

unsigned viommu__section_number(const struct viommu_section *section)
{
	return (unsigned)((const struct section_slot *)section->slot - section->endpoint->v->sections.slots);
}
