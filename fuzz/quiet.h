/* SPDX-License-Identifier: BSD-2-Clause */
/* The monitor's log for targets: lines are formatted and counted, and go nowhere. */
#ifndef FUZZ_QUIET_H
#define FUZZ_QUIET_H

/* How many lines the monitor has logged so far. */
extern unsigned quiet_lines;

#endif
