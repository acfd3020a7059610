/* SPDX-License-Identifier: BSD-2-Clause */
/* All routes together: the commit that hands their changes to KVM. */
#include <string.h>

#include "vmm/irqchip/internal.h"
#include "vmm/util/log.h"

int irq_router_init(struct irq_router *router, int vm)
{
	memset(router, 0, sizeof(*router));
	router->vm = vm;
	mutex_init(&router->lock);
	return routes_init(&router->table, vm);
}

void irq_router_fini(struct irq_router *router)
{
	routes_fini(&router->table);
	mutex_fini(&router->lock);
}

static void bind_all(struct irq_router *router)
{
	mutex_take(&router->lock);
	for (struct irq_route *route = router->first; route; route = route->next) {
		mutex_take(&route->lock);
		irq_route_bind_fd(route);
		mutex_drop(&route->lock);
	}
	mutex_drop(&router->lock);
}

/* An eventfd is bound only once its route is in the table: a signal that waits in it would be lost otherwise. */
void irq_router_commit(struct irq_router *router)
{
	const bool binds_due = atomic_exchange(&router->binds_due, false); /* partner: irq_route_update_fd() */
	const int error = routes_commit(&router->table);
	static struct log_limit limit = {.most = 1};

	if (error && vmm_log_may(&limit))
		vmm_log("KVM refuses an interrupt route: %s; interrupts may be lost", strerror(-error));
	if (binds_due)
		bind_all(router);
}

void irq_router_stats(struct irq_router *router, struct irq_stats *out)
{
	*out = (struct irq_stats){
		.changed = atomic_load_explicit(&router->changed, memory_order_relaxed),
		.resolved = atomic_load_explicit(&router->resolved, memory_order_relaxed),
		.invalidations = atomic_load_explicit(&router->invalidations, memory_order_relaxed),
		.commits = routes_commits(&router->table),
		.blocked = atomic_load_explicit(&router->blocked, memory_order_relaxed),
	};
}
