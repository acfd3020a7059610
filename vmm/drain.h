/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a machine's I/O. */
#ifndef VMM_DRAIN_H
#define VMM_DRAIN_H

struct registry;

/* See machine_drain(). */
int drain_devices(struct registry *registry);

#endif
