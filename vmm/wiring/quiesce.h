/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions whose bus mastering went off: the I/O thread finds out when their DMA is over, and tells their guest. */
#ifndef VMM_WIRING_QUIESCE_H
#define VMM_WIRING_QUIESCE_H

struct pci_dev;
struct progress;
struct quiesce;
struct registry;
struct viommu;

/* The context signals @progress. -ENOMEM. */
int quiesce_create(struct viommu *v, struct progress *progress, struct registry *registry, struct quiesce **out);

/* The devices are gone, the loop does not run any more. NULL is allowed. */
void quiesce_destroy(struct quiesce *quiesce);

/* For struct pci_root_config: any thread, dev->lock held. The device is registered. */
void quiesce_master_off(struct quiesce *quiesce, struct pci_dev *dev);

#endif
