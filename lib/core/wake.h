/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * viommu_config.progress: an owner that polls an invalidation in vain is woken when something in its way lets go.
 *
 * A poll that finds something in the way *arms* what it waits for and then looks once more; a thread that lets go looks
 * afterwards whether that is armed, disarms it and calls progress. Neither may miss the other, which takes a full fence
 * on both sides between the own store and the look at the other's.
 *
 *   - Clients and holds, which are not the hot path: one flag of the context, and a fence in wake_let_go().
 *   - Sections: a flag in each slot, beside the word that viommu_dma_end() clears anyway. It pays no fence: it stores
 *     the word, loads the flag, and the compiler keeps that order. The poll that arms a slot runs a fence on every
 *     processor where a thread of this process runs (membarrier(2)), and every other thread has passed one when it was
 *     switched out. So each end of a section either loads the flag after that fence, and sees it armed, or has stored
 *     its word before it, and the poll's second look sees the slot free.
 *     Slots are armed under a lock: a poll that finds a slot armed already needs no fence of its own, as the one that
 *     armed it has run it before it dropped the lock.
 *   - Where the kernel refuses membarrier, each slot carries a second flag which makes viommu_dma_end() fence.
 *
 * Disarming is a read-modify-write, so of several threads that let go one calls; it calls after it has disarmed, so a
 * poll that arms anew after the call misses nothing, and a poll that finds it still armed is woken by that call.
 */
#ifndef LIB_CORE_WAKE_H
#define LIB_CORE_WAKE_H

#include "lib/core/work.h"

/* At creation: sections may end without a fence, or not. */
void wake_init(struct viommu *v);

/* Call progress when something in the way of this work lets go. The caller looks once more afterwards. */
void wake_arm(struct viommu *v, const struct work *work);

/* A slot that has been left is armed, or fences are needed. */
void wake_section_left(struct section_slot *slot);

/* A hold has ended or a client has acknowledged: that is visible before the look at the flag. No lock is held. */
static inline void wake_let_go(struct viommu *v)
{
	if (!v->config.progress)
		return;
	/* Partner: the fence in wake_arm(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&v->awaited, memory_order_relaxed) && atomic_exchange(&v->awaited, false))
		v->config.progress(v->config.opaque);
}

#endif
