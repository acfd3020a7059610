/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The power management timer (ACPI 6.5, section 4.8.3.3): a counter of 24 bits that runs at 3.579545 MHz. A
 * hardware-reduced machine need not have it, and systems may ignore it there (section 5.2.9); Linux without kvmclock,
 * and others, measure the TSC by it. Its overflow interrupts nobody.
 */
#include "vmm/device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/layout/layout.h"

enum { HZ = 3579545, COUNTER_MASK = 0xffffff, PORTS = 4 };

#define NSEC_PER_SEC 1000000000ull

struct pm_timer {
	struct bus *pio;
	struct bus_range range;
	uint64_t start; /* ns */
};

static uint64_t pm_timer_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_nsec;
}

/* Seconds and what is left are counted apart: the product of all nanoseconds would wrap after 85 minutes. */
static uint64_t pm_timer_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct pm_timer *timer = opaque;
	const uint64_t passed = pm_timer_now() - timer->start;
	const uint64_t ticks = passed / NSEC_PER_SEC * HZ + passed % NSEC_PER_SEC * HZ / NSEC_PER_SEC;

	(void)size;
	return (ticks & COUNTER_MASK) >> 8 * offset;
}

static const struct bus_ops pm_timer_bus_ops = {.read = pm_timer_read};

int pm_timer_create(struct bus *pio, struct pm_timer **out)
{
	struct pm_timer *timer = calloc(1, sizeof(*timer));
	int error;

	if (!timer)
		return -ENOMEM;
	timer->pio = pio;
	timer->start = pm_timer_now();
	timer->range = (struct bus_range){
		.first = LAYOUT_PORT_PM_TIMER,
		.last = LAYOUT_PORT_PM_TIMER + PORTS - 1,
		.ops = &pm_timer_bus_ops,
		.opaque = timer,
	};
	error = bus_add(pio, &timer->range);
	if (error) {
		free(timer);
		return error;
	}
	*out = timer;
	return 0;
}

void pm_timer_destroy(struct pm_timer *timer)
{
	bus_remove(timer->pio, &timer->range);
	free(timer);
}
