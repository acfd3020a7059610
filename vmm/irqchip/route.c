/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/irqchip/route.h"

#include <errno.h>
#include <stdlib.h>

#include <viommu/irq.h>

#include "vmm/irqchip/internal.h"
#include "vmm/kvm/irq.h"

/*
 * Without a remapper. What is not written to the window of interrupts is no interrupt (SDM volume 3, section 11.11.1).
 */
static int pass(const struct msi_message *in, struct msi_message *out)
{
	if (!viommu_irq_is_request(in->address, sizeof(in->data)))
		return -EACCES;
	*out = *in;
	return 0;
}

/* Ask what becomes of the message. True: the answer is another one than before. */
static bool resolve(struct irq_route *route, bool report) REQUIRES(route->lock)
{
	struct irq_router *router = route->router;
	const struct irq_remapper *remapper = &router->remapper;
	struct msi_message target = {0};
	uint32_t index = IRQ_NO_INDEX;
	const int outcome = remapper->ops ? remapper->ops->remap(remapper->opaque, route->requester, &route->message,
								 &target, &index, report)
					  : pass(&route->message, &target);
	const bool resolved = outcome >= 0;
	const bool changed = resolved != route->resolved || (resolved && !msi_message_same(&target, &route->target));

	route->resolved = resolved;
	route->target = target;
	route->index = index;
	if (changed)
		atomic_fetch_add_explicit(&router->changed, 1, memory_order_relaxed);
	return changed;
}

/*
 * Bring KVM's table and the eventfd in line with the outcome. A route without a message keeps its entry:
 * no eventfd is bound to it, and when the same message comes back, as it does after masking, nothing has to change.
 */
static void publish(struct irq_route *route) REQUIRES(route->lock)
{
	struct routes *table = &route->router->table;

	if (route->gsi >= 0 && route->on) {
		if (route->resolved)
			routes_set(table, (unsigned)route->gsi, route->target);
		else
			routes_clear(table, (unsigned)route->gsi);
	}
	irq_route_update_fd(route);
}

static void add_to_list(struct irq_route *route)
{
	struct irq_router *router = route->router;

	mutex_take(&router->lock);
	if (!route->listed) {
		route->listed = true;
		route->previous = NULL;
		route->next = router->first;
		if (route->next)
			route->next->previous = route;
		router->first = route;
	}
	mutex_drop(&router->lock);
}

static void remove_from_list(struct irq_route *route)
{
	struct irq_router *router = route->router;

	mutex_take(&router->lock);
	if (route->listed) {
		route->listed = false;
		if (route->next)
			route->next->previous = route->previous;
		if (route->previous)
			route->previous->next = route->next;
		else
			router->first = route->next;
	}
	mutex_drop(&router->lock);
}

int irq_route_create(struct irq_router *router, uint16_t requester, struct irq_route **out) NO_OTHER_THREAD
{
	struct irq_route *route = calloc(1, sizeof(*route));

	if (!route)
		return -ENOMEM;
	route->router = router;
	route->requester = requester;
	route->gsi = -1;
	route->fd = -1;
	route->index = IRQ_NO_INDEX;
	mutex_init(&route->lock);
	*out = route;
	return 0;
}

void irq_route_destroy(struct irq_route *route)
{
	if (!route)
		return;
	irq_route_clear(route);
	irq_route_fini_fd(route);
	mutex_fini(&route->lock);
	free(route);
}

void irq_route_set_pin(struct irq_route *route, unsigned pin)
{
	route->gsi = (int)pin;
}

void irq_route_set_requester(struct irq_route *route, uint16_t requester)
{
	route->requester = requester;
}

/*
 * In the list first: an invalidation that comes in between either finds the outcome, or comes before the table is read.
 */
void irq_route_set(struct irq_route *route, struct msi_message message)
{
	bool changes;

	add_to_list(route);
	mutex_take(&route->lock);
	changes = !route->on || !msi_message_same(&route->message, &message);
	if (changes) {
		route->on = true;
		route->message = message;
		resolve(route, false);
		publish(route);
	}
	mutex_drop(&route->lock);
	if (changes)
		irq_router_commit(route->router);
}

void irq_route_clear(struct irq_route *route)
{
	mutex_take(&route->lock);
	route->on = false;
	route->resolved = false;
	route->index = IRQ_NO_INDEX;
	publish(route);
	mutex_drop(&route->lock);
	remove_from_list(route);
}

/* Sent under the lock: once an invalidation or a new message has had the lock, the old one is not sent any more. */
bool irq_route_raise_locked(struct irq_route *route, bool *changed)
{
	*changed = false;
	if (!route->on)
		return false;
	if (!route->resolved) {
		*changed = resolve(route, true);
		if (*changed)
			publish(route);
	}
	if (!route->resolved) {
		atomic_fetch_add_explicit(&route->router->blocked, 1, memory_order_relaxed);
		return false;
	}
	return kvm_irq_send(route->router->vm, &route->target);
}

bool irq_route_raise(struct irq_route *route)
{
	bool sent, changed;

	mutex_take(&route->lock);
	sent = irq_route_raise_locked(route, &changed);
	mutex_drop(&route->lock);
	if (changed)
		irq_router_commit(route->router);
	return sent;
}

/* Resolve it again if it goes through one of these entries. */
static void refresh(struct irq_route *route, uint32_t first, uint32_t last) REQUIRES(route->lock)
{
	const bool all = first == 0 && last == UINT32_MAX;
	const bool named = route->index != IRQ_NO_INDEX && first <= route->index && route->index <= last;

	if (!route->on || !(all || named))
		return;
	atomic_fetch_add_explicit(&route->router->resolved, 1, memory_order_relaxed);
	if (resolve(route, false))
		publish(route);
}

void irq_router_invalidate(struct irq_router *router, uint32_t first, uint32_t last)
{
	atomic_fetch_add_explicit(&router->invalidations, 1, memory_order_relaxed);
	mutex_take(&router->lock);
	for (struct irq_route *route = router->first; route; route = route->next) {
		mutex_take(&route->lock);
		refresh(route, first, last);
		mutex_drop(&route->lock);
	}
	mutex_drop(&router->lock);
}
