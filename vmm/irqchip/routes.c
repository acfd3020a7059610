/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/irqchip/routes.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/irq.h"
#include "vmm/layout/layout.h"

int routes_init(struct routes *routes, int vm) NO_OTHER_THREAD
{
	memset(routes, 0, sizeof(*routes));
	routes->vm = vm;
	routes->table = calloc(1, sizeof(*routes->table) + ROUTES_MAX * sizeof(routes->table->entries[0]));
	if (!routes->table)
		return -ENOMEM;
	mutex_init(&routes->lock);
	return 0;
}

void routes_fini(struct routes *routes) NO_OTHER_THREAD
{
	mutex_fini(&routes->lock);
	free(routes->table);
}

int routes_take(struct routes *routes)
{
	int gsi = -ENOSPC;

	mutex_take(&routes->lock);
	for (unsigned i = LAYOUT_IOAPIC_PINS; i < ROUTES_MAX && gsi < 0; i++)
		if (!routes->gsi[i].taken)
			gsi = (int)i;
	if (gsi >= 0)
		routes->gsi[gsi].taken = true;
	mutex_drop(&routes->lock);
	return gsi;
}

static void clear_locked(struct routes *routes, unsigned gsi) REQUIRES(routes->lock)
{
	routes->changed |= routes->gsi[gsi].used;
	routes->gsi[gsi].used = false;
}

void routes_put(struct routes *routes, unsigned gsi)
{
	mutex_take(&routes->lock);
	clear_locked(routes, gsi);
	routes->gsi[gsi].taken = false;
	mutex_drop(&routes->lock);
}

void routes_set(struct routes *routes, unsigned gsi, struct msi_message message)
{
	mutex_take(&routes->lock);
	if (!routes->gsi[gsi].used || !msi_message_same(&routes->gsi[gsi].message, &message))
		routes->changed = true;
	routes->gsi[gsi].used = true;
	routes->gsi[gsi].message = message;
	mutex_drop(&routes->lock);
}

void routes_clear(struct routes *routes, unsigned gsi)
{
	mutex_take(&routes->lock);
	clear_locked(routes, gsi);
	mutex_drop(&routes->lock);
}

static struct kvm_irq_routing_entry make_entry(unsigned gsi, struct msi_message message)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi =
			{
				.address_lo = (uint32_t)message.address,
				.address_hi = (uint32_t)(message.address >> 32),
				.data = message.data,
			},
	};
}

static int commit_locked(struct routes *routes) REQUIRES(routes->lock)
{
	struct kvm_irq_routing *table = routes->table;
	int error;

	table->nr = 0;
	for (unsigned gsi = 0; gsi < ROUTES_MAX; gsi++)
		if (routes->gsi[gsi].used)
			table->entries[table->nr++] = make_entry(gsi, routes->gsi[gsi].message);
	error = kvm_irq_set_table(routes->vm, table);
	routes->commits++;
	routes->changed = error != 0;
	return error;
}

int routes_commit(struct routes *routes)
{
	int error = 0;

	mutex_take(&routes->lock);
	if (routes->changed)
		error = commit_locked(routes);
	mutex_drop(&routes->lock);
	return error;
}

uint64_t routes_commits(struct routes *routes)
{
	uint64_t commits;

	mutex_take(&routes->lock);
	commits = routes->commits;
	mutex_drop(&routes->lock);
	return commits;
}
