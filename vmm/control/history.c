/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/history.h"

void fault_history_init(struct fault_history *history)
{
	*history = (struct fault_history){0};
	pthread_mutex_init(&history->lock, NULL);
}

void fault_history_fini(struct fault_history *history)
{
	pthread_mutex_destroy(&history->lock);
}

void fault_history_add(struct fault_history *history, const struct viommu_fault *fault)
{
	struct fault_record record = {.fault = *fault};
	const uint32_t slot = fault->endpoint >> 3;

	clock_gettime(CLOCK_REALTIME, &record.time);
	pthread_mutex_lock(&history->lock);
	history->ring[history->total++ % FAULT_HISTORY] = record;
	if (slot < LAYOUT_PCI_SLOTS)
		history->by_slot[slot]++;
	pthread_mutex_unlock(&history->lock);
}

unsigned fault_history_get(struct fault_history *history, struct fault_record out[FAULT_HISTORY])
{
	pthread_mutex_lock(&history->lock);

	const unsigned count = history->total < FAULT_HISTORY ? (unsigned)history->total : FAULT_HISTORY;

	for (unsigned i = 0; i < count; i++)
		out[i] = history->ring[(history->total - count + i) % FAULT_HISTORY];
	pthread_mutex_unlock(&history->lock);
	return count;
}

uint64_t fault_history_count(struct fault_history *history, unsigned slot)
{
	pthread_mutex_lock(&history->lock);

	const uint64_t count = slot < LAYOUT_PCI_SLOTS ? history->by_slot[slot] : 0;

	pthread_mutex_unlock(&history->lock);
	return count;
}
