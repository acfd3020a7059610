/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A's registers (National Semiconductor PC16550D data sheet, section 8). */
#include "vmm/device/device.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/device/input.h"
#include "vmm/device/output.h"
#include "vmm/irqchip/irqchip.h"
#include "vmm/layout/layout.h"
#include "vmm/util/mutex.h"

enum {
	REGISTERS = 8,
	REG_DATA = 0, /* divisor, low byte, when LCR says so */
	REG_IER = 1,  /* divisor, high byte */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
	IER_RECEIVED = 1 << 0,
	IER_EMPTY = 1 << 1,
	IER_LINE = 1 << 2,
	IER_MASK = 0x0f,
	IIR_NONE = 1,
	IIR_EMPTY = 2,
	IIR_RECEIVED = 4,
	IIR_LINE = 6,
	IIR_FIFO = 0xc0,
	FCR_ENABLE = 1 << 0,
	FCR_CLEAR_RX = 1 << 1,
	LCR_DIVISOR = 1 << 7,
	MCR_DTR = 1 << 0,
	MCR_RTS = 1 << 1,
	MCR_OUT1 = 1 << 2,
	MCR_OUT2 = 1 << 3,
	MCR_LOOP = 1 << 4,
	MCR_MASK = 0x1f,
	LSR_READY = 1 << 0,
	LSR_OVERRUN = 1 << 1,
	LSR_EMPTY = 1 << 5 | 1 << 6, /* holding register and shift register */
	MSR_CTS = 1 << 4,
	MSR_DSR = 1 << 5,
	MSR_RING = 1 << 6,
	MSR_CARRIER = 1 << 7,
	FIFO_SIZE = 64,
};

/* Lock order: serial.lock -> output's lock, irqchip. */
struct serial {
	struct bus *pio;
	struct bus_range range;
	struct irqchip *irqchip;
	struct output *output;
	struct input *input; /* NULL: none */
	struct mutex lock;
	uint8_t ier GUARDED_BY(lock), lcr GUARDED_BY(lock), mcr GUARDED_BY(lock), scr GUARDED_BY(lock);
	uint8_t divisor[2] GUARDED_BY(lock);
	bool fifo_enabled GUARDED_BY(lock), overrun GUARDED_BY(lock);
	bool line GUARDED_BY(lock);          /* of the interrupt, now */
	bool burst GUARDED_BY(lock);         /* bytes were written, and no register looked at since */
	bool empty_pending GUARDED_BY(lock); /* the transmitter ran empty, and nobody has looked yet */
	bool input_waits GUARDED_BY(lock);   /* input_resume() is owed when there is room */
	uint8_t fifo[FIFO_SIZE] GUARDED_BY(lock);
	unsigned fifo_first GUARDED_BY(lock), fifo_used GUARDED_BY(lock);
};

static uint8_t interrupt_id(const struct serial *s) REQUIRES(s->lock)
{
	if (s->ier & IER_LINE && s->overrun)
		return IIR_LINE;
	if (s->ier & IER_RECEIVED && s->fifo_used)
		return IIR_RECEIVED;
	if (s->ier & IER_EMPTY && s->empty_pending)
		return IIR_EMPTY;
	return IIR_NONE;
}

static void update_line(struct serial *s) REQUIRES(s->lock)
{
	const bool line = interrupt_id(s) != IIR_NONE;

	if (line == s->line)
		return;
	s->line = line;
	irq_set_pin(s->irqchip, LAYOUT_GSI_SERIAL, line);
}

/* Without request-to-send the guest is not ready: what came before its driver resets the FIFO would be lost. */
static unsigned input_room(const struct serial *s) REQUIRES(s->lock)
{
	return s->mcr & MCR_RTS && !(s->mcr & MCR_LOOP) ? FIFO_SIZE - s->fifo_used : 0;
}

static void update_input(struct serial *s) REQUIRES(s->lock)
{
	if (!s->input_waits || !input_room(s))
		return;
	s->input_waits = false;
	input_resume(s->input);
}

static void fifo_put(struct serial *s, uint8_t byte) REQUIRES(s->lock)
{
	if (s->fifo_used == FIFO_SIZE)
		s->overrun = true;
	else
		s->fifo[(s->fifo_first + s->fifo_used++) % FIFO_SIZE] = byte;
}

static uint8_t fifo_get(struct serial *s) REQUIRES(s->lock)
{
	uint8_t byte;

	if (!s->fifo_used)
		return 0;
	byte = s->fifo[s->fifo_first];
	s->fifo_first = (s->fifo_first + 1) % FIFO_SIZE;
	s->fifo_used--;
	return byte;
}

/*
 * A byte leaves at once, yet the interrupt line does not go up again for each of a burst: it does when the driver looks
 * at a register (end_burst()), or when all bytes have left.
 */
static void write_data(struct serial *s, uint8_t value) REQUIRES(s->lock)
{
	s->empty_pending = false;
	update_line(s);
	s->burst = !(s->mcr & MCR_LOOP) && output_put(s->output, value);
	if (s->mcr & MCR_LOOP)
		fifo_put(s, value);
	s->empty_pending = !s->burst;
}

/* The driver has written all that it wants for now. With a full queue it must wait for output_moved_cb(). */
static void end_burst(struct serial *s) REQUIRES(s->lock)
{
	if (!s->burst || !output_has_room(s->output))
		return;
	s->burst = false;
	s->empty_pending = true;
}

static void write_ier(struct serial *s, uint8_t value) REQUIRES(s->lock)
{
	const bool asks = value & IER_EMPTY && !(s->ier & IER_EMPTY);

	s->ier = value & IER_MASK;
	if (asks && output_has_room(s->output))
		s->empty_pending = true;
}

static void write_fcr(struct serial *s, uint8_t value) REQUIRES(s->lock)
{
	const bool enable = value & FCR_ENABLE;

	if (value & FCR_CLEAR_RX || enable != s->fifo_enabled)
		s->fifo_used = 0;
	s->fifo_enabled = enable;
}

static void serial_write_register(struct serial *s, unsigned reg, uint8_t value) REQUIRES(s->lock)
{
	if (s->lcr & LCR_DIVISOR && reg <= REG_IER) {
		s->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case REG_DATA:
		write_data(s, value);
		break;
	case REG_IER:
		write_ier(s, value);
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		s->mcr = value & MCR_MASK;
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static uint8_t read_iir(struct serial *s) REQUIRES(s->lock)
{
	const uint8_t id = interrupt_id(s);

	if (id == IIR_EMPTY)
		s->empty_pending = false;
	return id | (s->fifo_enabled ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s) REQUIRES(s->lock)
{
	uint8_t value = output_has_room(s->output) ? LSR_EMPTY : 0;

	if (s->fifo_used)
		value |= LSR_READY;
	if (s->overrun)
		value |= LSR_OVERRUN;
	s->overrun = false;
	return value;
}

/* In loop-back the modem's inputs are our own outputs; else a terminal is always there. */
static uint8_t read_msr(const struct serial *s) REQUIRES(s->lock)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_CARRIER;
	return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (s->mcr & MCR_OUT1 ? MSR_RING : 0) | (s->mcr & MCR_OUT2 ? MSR_CARRIER : 0);
}

static uint8_t serial_read_register(struct serial *s, unsigned reg) REQUIRES(s->lock)
{
	if (s->lcr & LCR_DIVISOR && reg <= REG_IER)
		return s->divisor[reg];
	switch (reg) {
	case REG_DATA:
		return fifo_get(s);
	case REG_IER:
		return s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

/* The chip is eight bits wide: wider accesses are several, to neighbouring registers. */
static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
	struct serial *s = opaque;
	uint64_t value = 0;

	mutex_take(&s->lock);
	end_burst(s);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)serial_read_register(s, (offset + i) % REGISTERS) << 8 * i;
	update_line(s);
	update_input(s);
	mutex_drop(&s->lock);
	return value;
}

static void serial_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct serial *s = opaque;

	/* Before the lock: the writer's thread takes it, too, when there is room again. */
	if (offset == REG_DATA)
		output_wait(s->output);
	mutex_take(&s->lock);
	for (unsigned i = 0; i < size; i++)
		serial_write_register(s, (offset + i) % REGISTERS, (uint8_t)(value >> 8 * i));
	update_line(s);
	update_input(s);
	mutex_drop(&s->lock);
}

static const struct bus_ops serial_bus_ops = {.read = serial_read, .write = serial_write};

static void output_moved_cb(void *opaque)
{
	struct serial *s = opaque;

	mutex_take(&s->lock);
	s->burst = false;
	s->empty_pending = true;
	update_line(s);
	mutex_drop(&s->lock);
}

static size_t input_room_cb(void *opaque)
{
	struct serial *s = opaque;

	mutex_take(&s->lock);

	const size_t room = input_room(s);

	s->input_waits = !room;
	mutex_drop(&s->lock);
	return room;
}

/* More than fits can come only if the guest went into loop-back meanwhile: an overrun then. */
static void input_take_cb(void *opaque, const uint8_t *bytes, size_t count)
{
	struct serial *s = opaque;

	mutex_take(&s->lock);
	for (size_t i = 0; i < count; i++)
		fifo_put(s, bytes[i]);
	update_line(s);
	mutex_drop(&s->lock);
}

static const struct input_ops input_ops = {.room = input_room_cb, .take = input_take_cb};

int serial_create(struct bus *pio, struct irqchip *irqchip, struct loop *loop, int in_fd, int out_fd,
		  struct serial **out)
{
	struct serial *s = calloc(1, sizeof(*s));
	int error;

	if (!s)
		return -ENOMEM;
	s->pio = pio;
	s->irqchip = irqchip;
	s->range = (struct bus_range){
		.first = LAYOUT_PORT_SERIAL,
		.last = LAYOUT_PORT_SERIAL + REGISTERS - 1,
		.ops = &serial_bus_ops,
		.opaque = s,
	};
	mutex_init(&s->lock);
	error = output_create(out_fd, output_moved_cb, s, &s->output);
	if (error)
		goto err_serial;
	if (in_fd >= 0)
		error = input_create(loop, in_fd, &input_ops, s, &s->input);
	if (error)
		goto err_output;
	mutex_take(&s->lock); /* the output's thread knows us */
	s->input_waits = s->input;
	mutex_drop(&s->lock);
	error = bus_add(pio, &s->range);
	if (error)
		goto err_input;
	*out = s;
	return 0;

err_input:
	if (s->input)
		input_destroy(s->input);
err_output:
	output_destroy(s->output);
err_serial:
	mutex_fini(&s->lock);
	free(s);
	return error;
}

void serial_destroy(struct serial *s)
{
	bus_remove(s->pio, &s->range);
	if (s->input)
		input_destroy(s->input);
	output_destroy(s->output);
	mutex_fini(&s->lock);
	free(s);
}
