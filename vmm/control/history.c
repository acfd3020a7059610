/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/history.h"

#include <stdlib.h>

void fault_history_init(struct fault_history *history)
{
	*history = (struct fault_history){0};
	mutex_init(&history->lock);
}

void fault_history_fini(struct fault_history *history) NO_OTHER_THREAD
{
	mutex_fini(&history->lock);
	free(history->counts);
}

static struct fault_count *find_count(const struct fault_history *history, uint32_t endpoint) REQUIRES(history->lock)
{
	for (unsigned i = 0; i < history->endpoints; i++)
		if (history->counts[i].endpoint == endpoint)
			return &history->counts[i];
	return NULL;
}

/* NULL: there is no memory for another one. */
static struct fault_count *get_count(struct fault_history *history, uint32_t endpoint) REQUIRES(history->lock)
{
	struct fault_count *found = find_count(history, endpoint);
	struct fault_count *more =
		found ? NULL : reallocarray(history->counts, history->endpoints + 1, sizeof(*history->counts));

	if (!more)
		return found;
	history->counts = more;
	found = &more[history->endpoints++];
	*found = (struct fault_count){.endpoint = endpoint};
	return found;
}

void fault_history_add(struct fault_history *history, const struct viommu_fault *fault)
{
	struct fault_record record = {.fault = *fault};

	clock_gettime(CLOCK_REALTIME, &record.time);
	mutex_take(&history->lock);
	history->ring[history->total++ % FAULT_HISTORY] = record;
	struct fault_count *count = get_count(history, fault->endpoint);

	if (count)
		count->count++;
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

uint64_t fault_history_count(struct fault_history *history, uint32_t endpoint)
{
	mutex_take(&history->lock);
	const struct fault_count *found = find_count(history, endpoint);
	const uint64_t count = found ? found->count : 0;

	mutex_drop(&history->lock);
	return count;
}
