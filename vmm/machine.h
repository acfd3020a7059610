/* SPDX-License-Identifier: BSD-2-Clause */
/* One machine, from power-on to power-off or reset. A guest that reboots gets a new one on the same RAM. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/kvm/kvm.h"

struct control;
struct machine;
struct ram;
struct run_config;

/* What the machines of one `viommu run` have in common. */
struct machine_host {
	struct ram *ram;
	struct control *control; /* or NULL */
	int serial_fd;           /* of --serial file=, or -1 */
};

/* Build all of it, ready to run. One line is logged on an error. */
int machine_create(const struct run_config *config, const struct machine_host *host, struct machine **out);

/*
 * Free it, after machine_drain() has returned 0 where it ran. machine_abandon() shows what the guest has still printed
 * and leaves the rest to the end of the process.
 */
void machine_destroy(struct machine *machine);
void machine_abandon(struct machine *machine);

/* Run until the machine ends; says why. */
enum vm_end machine_run(struct machine *machine);

/*
 * After machine_run(): wait until no device uses guest memory any more, for some seconds at most. -ETIMEDOUT, after a
 * line for each that does, or -ENOMEM: nothing of the machine, nor its memory, may be freed or used again.
 */
int machine_drain(struct machine *machine);

/* What the guest wrote, when machine_run() has returned VM_END_EXIT. */
uint32_t machine_exit_value(const struct machine *machine);

/* Make machine_run() return VM_END_NONE soon. Any thread, or a signal handler. */
void machine_interrupt(struct machine *machine);

#endif
