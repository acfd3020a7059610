/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard input, output and error at the two ends of a program's life. */
#ifndef VMM_STREAMS_H
#define VMM_STREAMS_H

#include <stdbool.h>

/*
 * First of all: what is closed becomes /dev/null, so that no file of ours gets a number that others read from and write
 * to. False: the program must end.
 */
bool streams_open(void);

/* Last of all: `status`, or 2 after one line where it is 0 and not all of the output could be written. */
int streams_finish(int status);

#endif
