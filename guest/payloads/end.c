/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways to end: "end=exit value=V width=1|2|4", "end=off", "end=reset", "end=triple". After a reset (with "times=N"
 * after N of them) it ends by the exit port with value 0x2a, which shows that it ran again, on the same RAM.
 */
#include "payload.h"

enum { SLEEP_S5 = 1 << 5 | 5 << 2, RESET_VALUE = 1, AFTER_RESET = 0x2a };

#define MARK 0x6b72616du
static uint32_t *const mark = (uint32_t *)0x800000; /* outside of what is loaded */
static uint32_t *const lives = (uint32_t *)0x800004;

static void end_by_exit_port(void)
{
	const uint32_t value = parameter("value", 0);

	switch (parameter("width", 4)) {
	case 1:
		outb(PORT_EXIT, (uint8_t)value);
		break;
	case 2:
		outw(PORT_EXIT, (uint16_t)value);
		break;
	default:
		outl(PORT_EXIT, value);
	}
}

/* An exception without an IDT, and so without a handler for the exception of that. */
static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none;

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

void payload(void)
{
	if (*mark != MARK) {
		*mark = MARK;
		*lives = 0;
	} else if (++*lives >= parameter("times", 1)) {
		quit(AFTER_RESET);
	}
	print(*lives ? "once more\n" : "first time\n");
	if (has_parameter("end", "exit"))
		end_by_exit_port();
	else if (has_parameter("end", "off"))
		outb(PORT_SLEEP, SLEEP_S5);
	else if (has_parameter("end", "reset"))
		outb(PORT_RESET, RESET_VALUE);
	else if (has_parameter("end", "triple"))
		triple_fault();
	for (;;)
		__asm__ volatile("cli; hlt");
}
