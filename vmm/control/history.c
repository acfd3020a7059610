/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/history.h"

void fault_history_init(struct fault_history *history)
{
	*history = (struct fault_history){0};
	mutex_init(&history->lock);
}

void fault_history_fini(struct fault_history *history)
{
	mutex_fini(&history->lock);
}

void fault_history_add(struct fault_history *history, const struct viommu_fault *fault)
{
	struct fault_record record = {.fault = *fault};
	const uint32_t slot = fault->endpoint >> 3;

	clock_gettime(CLOCK_REALTIME, &record.time);
	mutex_take(&history->lock);
	history->ring[history->total++ % FAULT_HISTORY] = record;
	if (slot < LAYOUT_PCI_SLOTS)
		history->by_slot[slot]++;
	mutex_drop(&history->lock);
}

unsigned fault_history_get(struct fault_history *history, struct fault_record out[FAULT_HISTORY])
{
	mutex_take(&history->lock);

	const unsigned count = history->total < FAULT_HISTORY ? (unsigned)history->total : FAULT_HISTORY;

	for (unsigned i = 0; i < count; i++)
		out[i] = history->ring[(history->total - count + i) % FAULT_HISTORY];
	mutex_drop(&history->lock);
	return count;
}

uint64_t fault_history_count(struct fault_history *history, unsigned slot)
{
	mutex_take(&history->lock);

	const uint64_t count = slot < LAYOUT_PCI_SLOTS ? history->by_slot[slot] : 0;

	mutex_drop(&history->lock);
	return count;
}
