# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Every DMA buffer is unmapped, and the unmap completed, before the driver goes on.
. "$here/cases/common.sh"
working_guest strict-1-cpu 'iommu.strict=1 viommu.groups=00:02.0,00:03.0,00:04.0' 1
