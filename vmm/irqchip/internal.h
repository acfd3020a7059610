/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/irqchip: a route's state. */
#ifndef VMM_IRQCHIP_INTERNAL_H
#define VMM_IRQCHIP_INTERNAL_H

#include "vmm/irqchip/route.h"
#include "vmm/util/loop.h"

struct irq_route {
	struct irq_router *router;
	uint16_t requester;
	/* Guarded by router->lock. */
	struct irq_route *previous, *next;
	bool listed;
	/* The rest is guarded by `lock`, but for gsi and fd, which are set while nobody else knows the route's eventfd. */
	pthread_mutex_t lock;
	bool on, resolved;           /* it has a message; and that one becomes `target` */
	struct msi_message message;  /* the guest's */
	struct msi_message target;   /* the CPU's */
	uint32_t index;              /* of the table entry between the two */
	int gsi, fd;                 /* -1: none */
	bool bound;                  /* KVM takes signals from the eventfd */
	bool unbindable;             /* KVM refused to */
	struct loop *loop;           /* of the eventfd */
	struct loop_watch watch;     /* while KVM does not */
	bool watched;                /* the loop's thread only */
	struct loop_work watch_work; /* begins and ends watching */
};

/* route->lock held: begin or end what the eventfd is for now; and once KVM's table is committed, bind it. */
void irq_route_update_fd(struct irq_route *route);
void irq_route_bind_fd(struct irq_route *route);

/* Close it, give the GSI back. Loop thread, or when the loop does not run. */
void irq_route_fini_fd(struct irq_route *route);

/* route->lock held. *changed: the caller commits once it has let go of the lock. */
bool irq_route_raise_locked(struct irq_route *route, bool *changed);

/* route->lock held: resolve it again if it goes through one of these entries. */
void irq_route_refresh(struct irq_route *route, uint32_t first, uint32_t last);

#endif
