/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI 6.5, section 4.8.3.7 (sleep control and status registers) and 4.8.3.6 (reset register). */
#include "vmm/device/device.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/layout/layout.h"

enum {
	SLEEP_ENABLE = 1 << 5,
	SLEEP_TYPE_SHIFT = 2,
	SLEEP_TYPE_MASK = 7,
};

struct power {
	struct bus *pio;
	struct bus_range range;
	void (*end)(void *opaque, enum vm_end why);
	void *opaque;
};

static void power_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct power *power = opaque;

	for (unsigned i = 0; i < size; i++) {
		const uint64_t port = power->range.first + offset + i;
		const uint8_t byte = (uint8_t)(value >> 8 * i);

		if (port == LAYOUT_PORT_RESET && byte == LAYOUT_RESET_VALUE)
			power->end(power->opaque, VM_END_RESET);
		else if (port == LAYOUT_PORT_SLEEP && byte & SLEEP_ENABLE &&
			 (byte >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == LAYOUT_SLEEP_S5)
			power->end(power->opaque, VM_END_POWEROFF);
	}
}

/* Both registers are written, not read; the status never says that the machine woke up, as it never sleeps. */
static const struct bus_ops power_bus_ops = {.write = power_write};

int power_create(struct bus *pio, void (*end)(void *opaque, enum vm_end why), void *opaque, struct power **out)
{
	struct power *power = calloc(1, sizeof(*power));
	int error;

	if (!power)
		return -ENOMEM;
	power->pio = pio;
	power->end = end;
	power->opaque = opaque;
	power->range = (struct bus_range){
		.first = LAYOUT_PORT_SLEEP,
		.last = LAYOUT_PORT_RESET,
		.ops = &power_bus_ops,
		.opaque = power,
	};
	error = bus_add(pio, &power->range);
	if (error) {
		free(power);
		return error;
	}
	*out = power;
	return 0;
}

void power_destroy(struct power *power)
{
	bus_remove(power->pio, &power->range);
	free(power);
}
