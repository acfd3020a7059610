/* SPDX-License-Identifier: BSD-2-Clause */
/* The exit port: a value that the guest writes ends the machine, and is the status of the monitor. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/device/device.h"
#include "vmm/layout/layout.h"

struct exit_port {
	struct bus *pio;
	struct bus_range range;
	void (*end)(void *opaque, uint32_t value);
	void *opaque;
};

/* A value has up to four bytes and begins at the first port. */
static void exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	const struct exit_port *port = opaque;

	(void)size;
	if (!offset)
		port->end(port->opaque, (uint32_t)value);
}

static const struct bus_ops exit_bus_ops = {.write = exit_write};

int exit_port_create(struct bus *pio, void (*end)(void *opaque, uint32_t value), void *opaque, struct exit_port **out)
{
	struct exit_port *port = calloc(1, sizeof(*port));
	int error;

	if (!port)
		return -ENOMEM;
	port->pio = pio;
	port->end = end;
	port->opaque = opaque;
	port->range = (struct bus_range){
		.first = LAYOUT_PORT_EXIT,
		.last = LAYOUT_PORT_EXIT + 3,
		.ops = &exit_bus_ops,
		.opaque = port,
	};
	error = bus_add(pio, &port->range);
	if (error) {
		free(port);
		return error;
	}
	*out = port;
	return 0;
}

void exit_port_destroy(struct exit_port *port)
{
	bus_remove(port->pio, &port->range);
	free(port);
}
