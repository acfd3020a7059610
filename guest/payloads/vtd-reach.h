/* SPDX-License-Identifier: BSD-2-Clause */
/* What an address space allows and denies, for first and second stage alike. */
#ifndef PAYLOAD_VTD_REACH_H
#define PAYLOAD_VTD_REACH_H

#include "vtd.h"

/*
 * Pages of all sizes: allowed, denied, taken away. The space is the device's, and all that is cached is flushed by the
 * queue.
 */
void reach_check(const char *where, const struct space *space);

#endif
