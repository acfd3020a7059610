/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal that the guest's serial port is shown on. */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

/* Hand every key to the guest but Ctrl-], which ends the monitor. Nothing happens where stdin is no terminal. */
void terminal_raw(void);

/* As it was before. May be called twice, or without terminal_raw(), and by a signal handler. */
void terminal_restore(void);

#endif
