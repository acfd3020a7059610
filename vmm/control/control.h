/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: `viommu run --control SOCK`. Clients send one JSON object a line, {"execute": COMMAND}, and get
 * one back, {"return": ...} or {"error": TEXT}. It outlives guest reboots: each machine attaches it to its event loop,
 * and between two machines clients wait.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct control;
struct fault_history;
struct irq_stats;
struct loop;
struct registry;
struct request_stats;
struct run_config;
struct viommu;
struct viommu_vtd_stats;

/* What a running machine can be asked. */
struct control_machine {
	struct loop *loop;
	struct viommu *v;
	uint64_t (*exits)(void *opaque);                           /* of all vCPUs so far; may be NULL */
	void (*interrupts)(void *opaque, struct irq_stats *out);   /* may be NULL */
	bool (*vtd)(void *opaque, struct viommu_vtd_stats *out);   /* false: there are no VT-d units; may be NULL */
	bool (*requests)(void *opaque, struct request_stats *out); /* false: the IOMMU has no queue; may be NULL */
	void *opaque;
	const struct registry *registry;
};

/* Make the socket at config->control and listen. One line is logged on an error. `config` must outlive it. */
int control_create(const struct run_config *config, struct control **out);

/* Hang up, remove the socket. NULL is allowed, here and below. The loop does not run. */
void control_destroy(struct control *control);

/* Serve clients on the machine's loop, from now until control_detach(). Loop thread, or when it does not run. */
int control_attach(struct control *control, const struct control_machine *machine);
void control_detach(struct control *control);

/* A client said "stop": the loop was stopped, and no further machine is to start. */
bool control_stopped(const struct control *control);

/* Where faults are to be told; NULL without a control socket. */
struct fault_history *control_faults(struct control *control);

#endif
