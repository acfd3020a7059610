/* SPDX-License-Identifier: BSD-2-Clause */
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/device/terminal.h"

enum { ESCAPE = 0x1d }; /* Ctrl-] */

static struct termios saved;
static volatile sig_atomic_t changed;

void terminal_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved))
		return;
	raw = saved;
	cfmakeraw(&raw);
	/* Signals stay on, but only Ctrl-] makes one. */
	raw.c_lflag |= ISIG;
	raw.c_oflag |= OPOST;
	raw.c_cc[VINTR] = ESCAPE;
	raw.c_cc[VQUIT] = raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	changed = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void terminal_restore(void)
{
	if (changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	changed = 0;
}
