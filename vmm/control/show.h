/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of a monitor as `viommu ctl` prints them, on stdout. What the answer lacks is left out. */
#ifndef VMM_CONTROL_SHOW_H
#define VMM_CONTROL_SHOW_H

#include <jansson.h>

/* Tables for people. */
void show_members(const json_t *answer); /* info, stats: a line for each member, then the devices */
void show_faults(const json_t *answer);
void show_nothing(const json_t *answer);

/* JSON, one object a line. */
void show_json(const json_t *answer);
void show_json_faults(const json_t *answer);

#endif
