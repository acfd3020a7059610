/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices whose queues a vhost-user back end serves. They connect when they are placed (struct pci_ops). */
#ifndef VMM_VHOST_USER_H
#define VMM_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

struct pci_dev;
struct virtio_env;

struct vhost_user_config {
	const char *socket;
	bool iommu;      /* behind the virtual IOMMU */
	unsigned queues; /* net: pairs */
	bool isolate;    /* the back end gets copies, and no guest memory */
	bool messages;   /* no shared table, whatever the back end knows */
	bool push_maps;  /* see struct viommu_vhu_config */
};

/* 0 with the PCI function to put on the root bus; one line is logged on an error. */
int vhost_user_net_create(const struct virtio_env *env, const struct vhost_user_config *config, const uint8_t mac[6],
			  struct pci_dev **out);
int vhost_user_blk_create(const struct virtio_env *env, const struct vhost_user_config *config, struct pci_dev **out);

#endif
