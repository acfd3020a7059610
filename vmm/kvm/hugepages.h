/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/kvm: the kernel's pools of huge pages. */
#ifndef VMM_HUGEPAGES_H
#define VMM_HUGEPAGES_H

#include <stdint.h>

/* A new hugetlb memfd for pages of this size; -errno, logged. */
int hugepages_open(uint64_t page);

/* Log that `size` bytes in such pages could not be had: how many are missing, and what makes them. */
void hugepages_complain(uint64_t size, uint64_t page, int error);

#endif
