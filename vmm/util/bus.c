/* SPDX-License-Identifier: BSD-2-Clause */
/* A sorted array, searched by halving. The lock is held for the search only: an exit costs far more than it does. */
#include "vmm/util/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/mutex.h"

struct bus {
	struct mutex lock;
	pthread_cond_t idle; /* some range has no users any more */
	struct bus_range **ranges GUARDED_BY(lock);
	size_t count GUARDED_BY(lock), capacity GUARDED_BY(lock);
};

/* How many handlers this thread is inside of. It must not wait for others then: they may wait for its locks. */
static _Thread_local unsigned handler_depth;

int bus_create(struct bus **out)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	mutex_init(&bus->lock);
	pthread_cond_init(&bus->idle, NULL);
	*out = bus;
	return 0;
}

void bus_destroy(struct bus *bus) NO_OTHER_THREAD
{
	if (!bus)
		return;
	pthread_cond_destroy(&bus->idle);
	mutex_fini(&bus->lock);
	free(bus->ranges);
	free(bus);
}

/* Index of the first range that ends at `address` or later. */
static size_t lower_bound_locked(const struct bus *bus, uint64_t address) REQUIRES(bus->lock)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (bus->ranges[mid]->last < address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int reserve_locked(struct bus *bus) REQUIRES(bus->lock)
{
	size_t capacity = bus->capacity ? 2 * bus->capacity : 16;
	struct bus_range **ranges;

	if (bus->count < bus->capacity)
		return 0;
	ranges = reallocarray(bus->ranges, capacity, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	bus->ranges = ranges;
	bus->capacity = capacity;
	return 0;
}

static int bus_add_locked(struct bus *bus, struct bus_range *range) REQUIRES(bus->lock)
{
	size_t at = lower_bound_locked(bus, range->first);
	int ret;

	if (at < bus->count && bus->ranges[at]->first <= range->last)
		return -EEXIST;
	ret = reserve_locked(bus);
	if (ret)
		return ret;
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at) * sizeof(*bus->ranges));
	bus->ranges[at] = range;
	bus->count++;
	return 0;
}

int bus_add(struct bus *bus, struct bus_range *range)
{
	int ret;

	if (range->last < range->first)
		return -EINVAL;
	mutex_take(&bus->lock);
	ret = bus_add_locked(bus, range);
	mutex_drop(&bus->lock);
	return ret;
}

static void bus_remove_locked(struct bus *bus, struct bus_range *range) REQUIRES(bus->lock)
{
	size_t at = lower_bound_locked(bus, range->first);

	if (at == bus->count || bus->ranges[at] != range)
		return;
	bus->count--;
	memmove(&bus->ranges[at], &bus->ranges[at + 1], (bus->count - at) * sizeof(*bus->ranges));
}

void bus_remove(struct bus *bus, struct bus_range *range)
{
	mutex_take(&bus->lock);
	bus_remove_locked(bus, range);
	while (range->users && !handler_depth)
		mutex_wait(&bus->lock, &bus->idle);
	mutex_drop(&bus->lock);
}

/* Find the range of a whole access and become its user. */
static struct bus_range *bus_enter(struct bus *bus, uint64_t address, unsigned size, uint64_t *offset)
{
	struct bus_range *range = NULL;
	size_t at;

	mutex_take(&bus->lock);
	at = lower_bound_locked(bus, address);
	if (at < bus->count && bus->ranges[at]->first <= address && bus->ranges[at]->last - address >= size - 1) {
		range = bus->ranges[at];
		range->users++;
		*offset = address - range->first;
	}
	mutex_drop(&bus->lock);
	if (range)
		handler_depth++;
	return range;
}

static void bus_leave(struct bus *bus, struct bus_range *range)
{
	handler_depth--;
	mutex_take(&bus->lock);
	if (--range->users == 0)
		pthread_cond_broadcast(&bus->idle);
	mutex_drop(&bus->lock);
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size)
{
	uint64_t offset, value = UINT64_MAX;
	struct bus_range *range = bus_enter(bus, address, size, &offset);

	if (range) {
		value = range->ops->read ? range->ops->read(range->opaque, offset, size) : 0;
		bus_leave(bus, range);
	}
	return size < 8 ? value & ((1ull << (8 * size)) - 1) : value;
}

void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned size)
{
	uint64_t offset;
	struct bus_range *range = bus_enter(bus, address, size, &offset);

	if (!range)
		return;
	if (range->ops->write)
		range->ops->write(range->opaque, offset, value, size);
	bus_leave(bus, range);
}
