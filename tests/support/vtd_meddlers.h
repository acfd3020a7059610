/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that put a unit's register page to the test: four of the guest write garbage over it, one more by accesses
 * that leave the guest, which also clears what is recorded; and a monitor's that opens the page, looks, and closes it.
 */
#ifndef TESTS_SUPPORT_VTD_MEDDLERS_H
#define TESTS_SUPPORT_VTD_MEDDLERS_H

#include "tests/support/vtd_driver.h"
#include "tests/support/vtd_paged.h"

enum { VTD_MEDDLERS = 4 };

struct vtd_meddlers {
	struct vtd_driver *d;
	struct vtd_paged p;
	/*
	 * What they write means nothing: no tail, and commands that change nothing. So whatever the guest's driver is
	 * told is gone must be gone.
	 */
	bool gentle;
	_Atomic bool stop;
	_Atomic unsigned next;
	_Atomic uint64_t opened, served, refused, turns;
	pthread_t guest[VTD_MEDDLERS], trapped, monitor;
};

void vtd_meddlers_start(struct vtd_meddlers *m, struct vtd_driver *d, bool gentle);
/* They end; the page is closed. */
void vtd_meddlers_stop(struct vtd_meddlers *m);

/* What the guest has of a fault record, of FSTS and of ICS is cleared, whatever there is, by way of registers. */
void vtd_meddlers_clear(struct vtd_driver *d);

#endif
