/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/irqchip/routes.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int routes_init(struct routes *routes, int vm)
{
	memset(routes, 0, sizeof(*routes));
	routes->vm = vm;
	routes->table = calloc(1, sizeof(*routes->table) + ROUTES_MAX * sizeof(routes->table->entries[0]));
	return routes->table ? 0 : -ENOMEM;
}

void routes_fini(struct routes *routes)
{
	free(routes->table);
}

static bool same_message(struct msi_message a, struct msi_message b)
{
	return a.address == b.address && a.data == b.data;
}

void routes_set(struct routes *routes, unsigned gsi, struct msi_message message)
{
	if (routes->gsi[gsi].used && same_message(routes->gsi[gsi].message, message))
		return;
	routes->gsi[gsi].used = true;
	routes->gsi[gsi].message = message;
	routes->changed = true;
}

void routes_clear(struct routes *routes, unsigned gsi)
{
	routes->changed |= routes->gsi[gsi].used;
	routes->gsi[gsi].used = false;
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

int routes_commit(struct routes *routes)
{
	struct kvm_irq_routing *table = routes->table;

	if (!routes->changed)
		return 0;
	table->nr = 0;
	for (unsigned gsi = 0; gsi < ROUTES_MAX; gsi++)
		if (routes->gsi[gsi].used)
			table->entries[table->nr++] = make_entry(gsi, routes->gsi[gsi].message);
	if (ioctl(routes->vm, KVM_SET_GSI_ROUTING, table))
		return -errno;
	routes->changed = false;
	return 0;
}
