/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The eventfd of a route, made and served. While the route resolves it is bound to the route's GSI (route_bind.c), and
 * interrupts need no user space. While it has a message that is blocked the event loop serves it. While it has none
 * nobody reads it, so the signal is kept. When it changes hands both may look at it for a moment: the one that reads
 * the counter raises the route, once.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <viommu/event.h>

#include "vmm/irqchip/internal.h"

static void serve_signal(void *opaque, uint32_t events)
{
	struct irq_route *route = opaque;
	bool changed = false;

	(void)events;
	mutex_take(&route->lock);
	if (route->on && !viommu_event_take(route->fd))
		irq_route_raise_locked(route, &changed);
	mutex_drop(&route->lock);
	if (changed)
		irq_router_commit(route->router);
}

static void update_watch(void *opaque)
{
	struct irq_route *route = opaque;
	bool wanted;

	mutex_take(&route->lock);
	wanted = route->on && !irq_route_wants_kvm(route);
	mutex_drop(&route->lock);
	if (wanted == route->watched)
		return;
	route->watched = wanted;
	if (!wanted)
		loop_remove(route->loop, &route->watch);
	else if (loop_add(route->loop, &route->watch, EPOLLIN))
		route->watched = false;
}

int irq_route_fd(struct irq_route *route, struct loop *loop)
{
	int gsi, fd;

	if (route->fd >= 0)
		return route->fd;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	gsi = routes_take(&route->router->table);
	if (gsi < 0) {
		close(fd);
		return gsi;
	}
	mutex_take(&route->lock);
	route->gsi = gsi;
	route->fd = fd;
	route->loop = loop;
	route->watch = (struct loop_watch){.fd = fd, .ready = serve_signal, .opaque = route};
	route->watch_work = (struct loop_work){.run = update_watch, .opaque = route};
	if (route->on && route->resolved)
		routes_set(&route->router->table, (unsigned)gsi, route->target);
	irq_route_update_fd(route);
	mutex_drop(&route->lock);
	irq_router_commit(route->router);
	return fd;
}
