/* SPDX-License-Identifier: BSD-2-Clause */
/* The root of all buses: the host bridge on the first, and the ways into configuration space. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/internal.h"

/* The generic PCI Express host bridge that QEMU's PCI id list assigns (docs/specs/pci-ids.rst). */
static const struct pci_ids host_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class_code = 0x060000,
};

/* It has no BAR, and nothing of its own to free. */
static void host_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static const struct pci_ops host_ops = {.destroy = host_destroy};

static int start_root(struct pci_root *root)
{
	int ret = pci_bus_create(root, NULL, 0, &root->bus);

	if (ret)
		return ret;
	ret = pci_dev_init(&root->host, &host_ops, &host_ids);
	if (ret)
		goto err_bus;
	ret = pci_bus_add(root->bus, &root->host, 0);
	if (ret)
		goto err_host;
	ret = pci_ecam_add(root);
	if (ret)
		goto err_host;
	ret = pci_port_io_add(root);
	if (ret)
		goto err_ecam;
	return 0;

err_ecam:
	pci_ecam_remove(root);
err_host:
	pci_dev_fini(&root->host);
err_bus:
	pci_bus_destroy(root->bus);
	return ret;
}

static void free_root(struct pci_root *root)
{
	pthread_cond_destroy(&root->unused);
	mutex_fini(&root->intx_lock);
	mutex_fini(&root->lock);
	free(root);
}

int pci_root_create(const struct pci_root_config *config, struct pci_root **out)
{
	struct pci_root *root = calloc(1, sizeof(*root));
	int ret;

	if (!root)
		return -ENOMEM;
	root->config = *config;
	mutex_init(&root->lock);
	mutex_init(&root->intx_lock);
	pthread_cond_init(&root->unused, NULL);
	ret = start_root(root);
	if (ret)
		free_root(root);
	else
		*out = root;
	return ret;
}

void pci_root_destroy(struct pci_root *root)
{
	if (!root)
		return;
	pci_port_io_remove(root);
	pci_ecam_remove(root);
	pci_bus_clear(root->bus);
	pci_bus_destroy(root->bus);
	free_root(root);
}
