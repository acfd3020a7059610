/* SPDX-License-Identifier: BSD-2-Clause */
/* One machine, from power-on to power-off or reset. A guest that reboots gets a new one on the same RAM. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/kvm/kvm.h"

struct control;
struct machine;
struct ram;
struct run_config;

/* Build all of it, ready to run. `control` may be NULL. One line is logged on an error. */
int machine_create(const struct run_config *config, struct ram *ram, struct control *control, struct machine **out);
void machine_destroy(struct machine *machine);

/* Run until the machine ends; says why. */
enum vm_end machine_run(struct machine *machine);

/* What the guest wrote, when machine_run() has returned VM_END_EXIT. */
uint32_t machine_exit_value(const struct machine *machine);

/* Make machine_run() return VM_END_NONE soon. Any thread, or a signal handler. */
void machine_interrupt(struct machine *machine);

#endif
