/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/irqchip: a route's state. */
#ifndef VMM_IRQCHIP_INTERNAL_H
#define VMM_IRQCHIP_INTERNAL_H

#include "vmm/irqchip/route.h"
#include "vmm/util/loop.h"
#include "vmm/util/mutex.h"

struct irq_route {
	struct irq_router *router;
	uint16_t requester;
	/* The router's lock guards these. */
	struct irq_route *previous, *next;
	bool listed;
	struct mutex lock;
	bool on GUARDED_BY(lock);                    /* it has a message; */
	bool resolved GUARDED_BY(lock);              /* and that one becomes `target` */
	struct msi_message message GUARDED_BY(lock); /* the guest's */
	struct msi_message target GUARDED_BY(lock);  /* the CPU's */
	uint32_t index GUARDED_BY(lock);             /* of the table entry between the two */
	int gsi, fd;                                 /* -1: none; set while no other thread knows the route's eventfd */
	bool bound GUARDED_BY(lock);                 /* KVM takes signals from the eventfd */
	bool unbindable GUARDED_BY(lock);            /* KVM refused to */
	struct loop *loop;                           /* of the eventfd; set with it */
	struct loop_watch watch;                     /* while KVM does not */
	bool watched;                                /* the loop's thread only */
	struct loop_work watch_work;                 /* begins and ends watching */
};

/* True: KVM is to take signals from the eventfd now. */
bool irq_route_wants_kvm(const struct irq_route *route) REQUIRES(route->lock);

/* Begin or end what the eventfd is for now; and once KVM's table is committed, bind it. */
void irq_route_update_fd(struct irq_route *route) REQUIRES(route->lock);
void irq_route_bind_fd(struct irq_route *route) REQUIRES(route->lock);

/* Close it, give the GSI back. Loop thread, or when the loop does not run. */
void irq_route_fini_fd(struct irq_route *route);

/* *changed: the caller commits once it has let go of the lock. */
bool irq_route_raise_locked(struct irq_route *route, bool *changed) REQUIRES(route->lock);

#endif
