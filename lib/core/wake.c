/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/core/wake.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool membarrier(int command)
{
	return !syscall(SYS_membarrier, command, 0, 0);
}

/* From now on sections end with a fence. */
static void fence_at_each_end(struct viommu *v)
{
	v->ends_fence = true;
	for (unsigned i = 0; i < SECTION_SLOTS; i++)
		atomic_fetch_or(&v->sections.slots[i].flags, SLOT_FENCE);
}

void wake_init(struct viommu *v) NO_OTHER_THREAD
{
	if (v->config.progress && !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		fence_at_each_end(v);
}

/* Arm the slots. True: one among them was not armed before. */
static bool arm_slots(const struct work *work)
{
	bool fresh = false;

	for (unsigned i = 0; i < work->wait_count; i++)
		if (section_open(&work->waits[i]))
			fresh |= !(atomic_fetch_or(&work->waits[i].slot->flags, SLOT_AWAITED) & SLOT_AWAITED);
	return fresh;
}

/* False: the kernel has refused a fence that it granted at first. */
static bool arm_locked(struct viommu *v, const struct work *work) REQUIRES(v->wake_lock)
{
#ifdef VIOMMU_MUTANT_WAKE /* wrong on purpose: no fence for those who end a section */
	arm_slots(work);
	return true;
#endif
	if (!arm_slots(work) || v->ends_fence || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return true;
	fence_at_each_end(v);
	return false;
}

void wake_arm(struct viommu *v, const struct work *work)
{
	bool armed = true;

	if (work->wait_count) {
		lock_take(&v->wake_lock);
		armed = arm_locked(v, work);
		lock_drop(&v->wake_lock);
	}
	if (work->state == WORK_HOLDS || work->client_count)
		atomic_store_explicit(&v->awaited, true, memory_order_relaxed);
	/* Partners: the fences in wake_let_go() and wake_section_left(). */
	atomic_thread_fence(memory_order_seq_cst);
	/* Sections that end just now still end without one: look again when they have. */
	if (!armed)
		v->config.progress(v->config.opaque);
}

void wake_section_left(struct section_slot *slot)
{
	if (atomic_load_explicit(&slot->flags, memory_order_relaxed) & SLOT_FENCE)
		/* Partner: the fence in wake_arm(). */
		atomic_thread_fence(memory_order_seq_cst);
	if (!(atomic_load_explicit(&slot->flags, memory_order_relaxed) & SLOT_AWAITED))
		return;
	struct viommu *v = slot->v;

	if (atomic_fetch_and(&slot->flags, ~(unsigned)SLOT_AWAITED) & SLOT_AWAITED)
		v->config.progress(v->config.opaque);
}
