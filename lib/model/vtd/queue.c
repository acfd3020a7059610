/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queued invalidation (6.5.2). What descriptors take away is collected until a wait descriptor, whose status is written
 * when nobody uses any of it; IQH stays at that descriptor meanwhile. An error leaves IQH at the descriptor in question
 * and stops the queue until software clears the bit; behind a wait that timed out the queue goes on with the next
 * descriptor then, for software gives up on that one.
 */
#include <errno.h>

#include "lib/model/vtd/unit.h"

/* Descriptors of one turn: who writes a full queue again and again keeps nobody else from the unit. */
enum { TURN = 1024, NARROW = 16, WIDE = 32 };

static unsigned descriptor_size(const struct vtd_queue *queue)
{
	return queue->wide ? WIDE : NARROW;
}

static void next(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t head = unit->regs[REG_IQH] + descriptor_size(&unit->queue);

	unit->regs[REG_IQH] = head < unit->queue.size ? head : 0;
}

static void fail(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	vtd_irq_commit(unit);
	vtd_event_fault(unit, VTD_FSTS_IQE);
}

static bool tail_valid(const struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t tail = unit->regs[REG_IQT];

	return tail < unit->queue.size && !(tail % descriptor_size(&unit->queue));
}

/* Is there a descriptor that may be fetched? */
static bool runnable(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;

	if (!queue->enabled || vtd_event_status(unit, VTD_FSTS_IQE | VTD_FSTS_ITE))
		return false;
	if (queue->aborted)
		next(unit);
	queue->aborted = false;
	return unit->regs[REG_IQH] != unit->regs[REG_IQT];
}

static void time_out(struct viommu_vtd *unit, bool at_wait) REQUIRES(unit->lock)
{
	unit->queue.aborted = at_wait;
	unit->stats.timeouts++;
	vtd_event_fault(unit, VTD_FSTS_ITE);
}

/* Nobody uses what was collected: say so, if that can be said. */
static void finish_wait(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	const uint64_t *wait = unit->queue.wait;
	uint64_t address = wait[1] & ~3ull;

	vtd_irq_commit(unit);
	if (wait[0] & VTD_WAIT_SW && vtd_guest_store32(unit, address, (uint32_t)(wait[0] >> 32))) {
		fail(unit);
		return;
	}
	if (wait[0] & VTD_WAIT_IF)
		vtd_event_complete(unit);
	unit->stats.waits++;
	next(unit);
}

/* Is what was begun complete? True: not yet. */
static bool pending(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	bool at_wait = queue->state == VTD_QUEUE_WAITING;

	if (queue->state == VTD_QUEUE_RUNS)
		return false;
	int err = viommu_inval_poll(queue->inval);

	if (err == -EAGAIN)
		return true;
	queue->state = VTD_QUEUE_RUNS;
	if (err)
		time_out(unit, at_wait);
	else if (at_wait)
		finish_wait(unit);
	return false;
}

static void begin(struct vtd_queue *queue, enum vtd_queue_state state)
{
	viommu_inval_begin(queue->inval);
	queue->state = state;
}

static void begin_wait(struct viommu_vtd *unit, const uint64_t words[4]) REQUIRES(unit->lock)
{
	if (!vtd_wait_valid(unit, words)) {
		fail(unit);
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		unit->queue.wait[i] = words[i];
	begin(&unit->queue, VTD_QUEUE_WAITING);
}

static void perform(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	uint64_t words[4] = {0};
	int err = -EINVAL;

	if (tail_valid(unit))
		err = vtd_guest_read(unit, queue->base + unit->regs[REG_IQH], words, descriptor_size(queue));
	if (!err && vtd_descriptor_type(words) == VTD_D_WAIT) {
		begin_wait(unit, words);
		return;
	}
	if (!err)
		err = vtd_descriptor_perform(unit, words);
	if (!err)
		next(unit);
	else if (err == -ENOMEM)
		begin(queue, VTD_QUEUE_FULL);
	else
		fail(unit);
}

/*
 * The queue stands still. What it has left is waited for when it is off: registers may invalidate then. True: this has
 * begun.
 */
static bool rest(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	struct vtd_queue *queue = &unit->queue;
	bool left = !queue->enabled && viommu__inval_changes(queue->inval);

	vtd_irq_commit(unit);
	if (left)
		begin(queue, VTD_QUEUE_FULL);
	return left;
}

bool vtd_queue_run(struct viommu_vtd *unit)
{
	for (unsigned i = 0; i < TURN; i++) {
		if (pending(unit))
			return true;
		if (runnable(unit))
			perform(unit);
		else if (!rest(unit))
			return false;
	}
	return true;
}
