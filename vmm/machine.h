/* SPDX-License-Identifier: BSD-2-Clause */
/* One machine, from power-on to power-off or reset. A guest that reboots gets a new one on the same RAM. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/kvm/kvm.h"

struct machine;
struct ram;
struct run_config;

/* Build all of it, ready to run. One line is logged on an error. */
int machine_create(const struct run_config *config, struct ram *ram, struct machine **out);
void machine_destroy(struct machine *machine);

/* Run until the machine ends; says why. */
enum vm_end machine_run(struct machine *machine);

/* Make machine_run() return VM_END_NONE soon. Any thread, or a signal handler. */
void machine_interrupt(struct machine *machine);

#endif
