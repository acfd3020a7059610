/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queued invalidation (6.5.2). What descriptors take away is collected until a wait descriptor, whose status is written
 * when nobody uses any of it; IQH stays at that descriptor meanwhile. An error leaves IQH at the descriptor in question
 * and stops the queue until software clears the bit; behind a wait that timed out the queue goes on with the next
 * descriptor then, for software gives up on that one.
 */
#include <errno.h>

#include "lib/model/vtd/unit.h"

/* Descriptors of one turn: a guest that fills the queue again and again keeps no other thread from the unit. */
enum { TURN = 1024, NARROW = 16, WIDE = 32 };

static unsigned descriptor_size(const struct vtd_queue *queue)
{
	return queue->wide ? WIDE : NARROW;
}

static void queue_next(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t head = unit->regs[REG_IQH] + descriptor_size(&unit->queue);

	unit->regs[REG_IQH] = head < unit->queue.size ? head : 0;
}

static void queue_fail(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	vtd_irq_commit(unit);
	vtd_event_fault(unit, VTD_FSTS_IQE);
}

/* True when a descriptor may be fetched. */
static bool runnable(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;

	if (!queue->enabled || vtd_event_status(unit, VTD_FSTS_IQE | VTD_FSTS_ITE))
		return false;
	if (queue->aborted)
		queue_next(unit);
	queue->aborted = false;
	return unit->regs[REG_IQH] != unit->regs[REG_IQT];
}

/* No device uses what was collected any more: tell software in the way that the descriptor asks for. */
static void finish_wait(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	const uint64_t *wait = unit->queue.wait;
	uint64_t address = wait[1] & ~3ull;

	vtd_irq_commit(unit);
	if (wait[0] & VTD_WAIT_SW && vtd_guest_store32(unit, address, (uint32_t)(wait[0] >> 32))) {
		queue_fail(unit);
		return;
	}
	if (wait[0] & VTD_WAIT_IF)
		vtd_event_complete(unit);
	unit->stats.waits++;
	queue_next(unit);
}

/* True while what was begun is not complete. */
static bool queue_pending(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	bool at_wait = queue->state == VTD_QUEUE_WAITING;

	if (queue->state == VTD_QUEUE_RUNS)
		return false;
	int err = viommu_inval_poll(queue->inval);

	if (err == -EAGAIN)
		return true;
	queue->state = VTD_QUEUE_RUNS;
	if (err) {
		queue->aborted = at_wait;
		unit->stats.timeouts++;
		vtd_event_fault(unit, VTD_FSTS_ITE);
	} else if (at_wait) {
		finish_wait(unit);
	}
	return false;
}

static void queue_begin(struct vtd_queue *queue, enum vtd_queue_state state)
{
	viommu_inval_begin(queue->inval);
	queue->state = state;
}

static void begin_wait(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	if (!vtd_wait_valid(unit, words)) {
		queue_fail(unit);
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		unit->queue.wait[i] = words[i];
	queue_begin(&unit->queue, VTD_QUEUE_WAITING);
}

static void queue_perform(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	uint64_t words[4] = {0}, tail = unit->regs[REG_IQT];
	unsigned size = descriptor_size(queue);
	int err = -EINVAL;

	if (tail < queue->size && !(tail % size))
		err = vtd_guest_read(unit, queue->base + unit->regs[REG_IQH], words, size);
	if (!err && vtd_descriptor_type(words) == VTD_D_WAIT) {
		begin_wait(unit, words);
		return;
	}
	if (!err)
		err = vtd_descriptor_perform(unit, words);
	if (!err)
		queue_next(unit);
	else if (err == -ENOMEM)
		queue_begin(queue, VTD_QUEUE_FULL);
	else
		queue_fail(unit);
}

/*
 * The queue stands still. Where it is off, registers may invalidate, so what its descriptors have left has to complete
 * first. True when that wait has begun.
 */
static bool rest(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	bool left = !queue->enabled && viommu__inval_changes(queue->inval);

	vtd_irq_commit(unit);
	if (left)
		queue_begin(queue, VTD_QUEUE_FULL);
	return left;
}

bool vtd_queue_run(struct viommu_vtd *unit)
{
	unit->more = false;
	for (unsigned i = 0; i < TURN; i++) {
		if (queue_pending(unit))
			return true;
		if (runnable(unit))
			queue_perform(unit);
		else if (!rest(unit))
			return false;
	}
	unit->more = true;
	return true;
}
