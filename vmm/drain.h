/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a machine's I/O. */
#ifndef VMM_DRAIN_H
#define VMM_DRAIN_H

struct pci_root;

/* See machine_drain(). */
int drain_devices(struct pci_root *root);

#endif
