/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/boot: what the kernel is told in its "zero page". */
#ifndef VMM_PARAMS_H
#define VMM_PARAMS_H

#include "vmm/boot/bzimage.h"

struct ram;
struct boot_facts;

/* Write boot_params, with the header that the kernel's file has, at LAYOUT_BOOT_PARAMS. -EFBIG: no RAM there. */
int params_write(struct ram *ram, const struct bzimage *image, const struct boot_facts *facts);

#endif
