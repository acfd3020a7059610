/* SPDX-License-Identifier: BSD-2-Clause */
/* The signals that ask a program to end. */
#ifndef VMM_SIGNALS_H
#define VMM_SIGNALS_H

/*
 * SIGTERM, SIGINT and SIGHUP call the handler; the last two stay ignored where our parent ignores them, as nohup(1)
 * and shells do for what runs in the background. SIGPIPE is ignored.
 */
void signals_catch_end(void (*handler)(int number));

#endif
