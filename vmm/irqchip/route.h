/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes: a message source (an MSI-X entry, MSI, an IOAPIC pin) with the guest's message, and the message that a CPU
 * gets. The second is made from the first by the remapper when the message is set, and again when the remapper says
 * that what it was made from may have changed; never for each interrupt.
 *
 * A message that does not resolve is not in KVM's table; raising it asks the remapper again, which reports the fault
 * then.
 */
#ifndef VMM_IRQ_ROUTE_H
#define VMM_IRQ_ROUTE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/irqchip/irqchip.h"
#include "vmm/irqchip/routes.h"
#include "vmm/util/mutex.h"

struct irq_route;
struct loop;

/* A message that goes through no entry of a table. */
#define IRQ_NO_INDEX UINT32_MAX

struct irq_remapper_ops {
	/*
	 * What becomes of a requester's (bus << 8 | devfn) message. *index: the table entry that it goes through or
	 * would go through, else IRQ_NO_INDEX, also on an error. @report: an interrupt is being sent, so a fault is to
	 * be recorded. Negative: blocked. Any thread, with locks of routes held: it calls nothing here but irq_send().
	 */
	int (*remap)(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		     uint32_t *index, bool report);
};

struct irq_remapper {
	const struct irq_remapper_ops *ops;
	void *opaque;
	uint16_t ioapic; /* the IOAPIC's requester id */
};

struct irq_stats {
	uint64_t changed;       /* times that a route's resolved message became another one */
	uint64_t resolved;      /* times that an invalidation made a route be resolved again */
	uint64_t invalidations; /* calls of irqchip_remap_invalidate() */
	uint64_t commits;       /* tables that KVM was given */
	uint64_t blocked;       /* interrupts that were sent and blocked */
};

/* All routes of a machine. */
struct irq_router {
	int vm;
	struct irq_remapper remapper; /* ops NULL: messages pass as they are; set before the guest runs */
	struct routes table;
	struct mutex lock;                        /* taken before a route's own */
	struct irq_route *first GUARDED_BY(lock); /* the list of routes with a message */
	atomic_bool binds_due; /* a route waits for the commit after which its eventfd may be bound */
	_Atomic uint64_t changed, resolved, invalidations, blocked;
};

/* Errors: -ENOMEM. At the end no route is left. */
int irq_router_init(struct irq_router *router, int vm);
void irq_router_fini(struct irq_router *router);

/* See irqchip_remap_invalidate() and its neighbours. */
void irq_router_invalidate(struct irq_router *router, uint32_t first, uint32_t last);
void irq_router_commit(struct irq_router *router);
void irq_router_stats(struct irq_router *router, struct irq_stats *out);

/* A source without a message. Errors: -ENOMEM. Destroy it on the loop's thread, or when the loop does not run. */
int irq_route_create(struct irq_router *router, uint16_t requester, struct irq_route **out);
void irq_route_destroy(struct irq_route *route); /* NULL is allowed */

/* Mirror the route in KVM's table, as this pin of the IOAPIC. Once, before its first message. */
void irq_route_set_pin(struct irq_route *route, unsigned pin);

/* Whose messages these are, where that was not known at first. Before its first message. */
void irq_route_set_requester(struct irq_route *route, uint16_t requester);

/*
 * Give it a message, or take it away. The owner serialises these two for each route, but not with the rest: any thread.
 * An eventfd that is signalled while there is no message keeps its signal until there is one.
 */
void irq_route_set(struct irq_route *route, struct msi_message message);
void irq_route_clear(struct irq_route *route);

/* Send it. false: there is no message, it is blocked, or no CPU took it. Any thread. */
bool irq_route_raise(struct irq_route *route);

/*
 * An eventfd (non-blocking) whose signals raise the route: in the kernel while it resolves, else on the loop's thread,
 * so that the fault is reported. It stays the route's. Again the same one if called again. Loop thread, or when the
 * loop does not run. Errors: -ENOSPC (no GSI is left), -errno of eventfd().
 */
int irq_route_fd(struct irq_route *route, struct loop *loop);

/* True: a signal waits in its eventfd for a message. */
bool irq_route_pending(struct irq_route *route);

#endif
