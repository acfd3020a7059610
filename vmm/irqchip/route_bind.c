/* SPDX-License-Identifier: BSD-2-Clause */
/* The eventfd of a route, bound to the route's GSI while the route resolves, and parted from it. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "vmm/irqchip/internal.h"
#include "vmm/kvm/irq.h"
#include "vmm/util/log.h"

bool irq_route_wants_kvm(const struct irq_route *route)
{
	return route->on && route->resolved && !route->unbindable;
}

/* The work looks again, on the loop's thread, so it is no matter if it finds nothing to do. */
void irq_route_update_fd(struct irq_route *route)
{
	if (route->fd < 0)
		return;
	if (route->bound && !irq_route_wants_kvm(route)) {
		kvm_irq_bind(route->router->vm, (unsigned)route->gsi, route->fd, false);
		route->bound = false;
	}
	if (!route->bound && irq_route_wants_kvm(route))
		atomic_store(&route->router->binds_due, true); /* partner: irq_router_commit() */
	loop_post(route->loop, &route->watch_work);
}

void irq_route_bind_fd(struct irq_route *route)
{
	int error;

	if (route->fd < 0 || route->bound || !irq_route_wants_kvm(route))
		return;
	/* It may have been set after the commit that brought us here. */
	error = routes_commit(&route->router->table);
	if (!error)
		error = kvm_irq_bind(route->router->vm, (unsigned)route->gsi, route->fd, true);
	if (error) {
		static struct log_limit limit;

		if (vmm_log_may(&limit))
			vmm_log("KVM refuses an irqfd: %s; interrupts go the long way", strerror(-error));
		route->unbindable = true;
	}
	route->bound = !error;
	loop_post(route->loop, &route->watch_work);
}

void irq_route_fini_fd(struct irq_route *route)
{
	if (route->fd < 0)
		return;
	loop_cancel(route->loop, &route->watch_work);
	if (route->watched)
		loop_remove(route->loop, &route->watch);
	close(route->fd);
	routes_put(&route->router->table, (unsigned)route->gsi);
}

bool irq_route_pending(struct irq_route *route)
{
	struct pollfd poll_fd = {.fd = route->fd, .events = POLLIN};
	bool on;

	mutex_take(&route->lock);
	on = route->on;
	mutex_drop(&route->lock);
	return !on && route->fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}
