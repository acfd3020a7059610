# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Each vCPU performs the requests that it notifies.
. "$here/cases/common.sh"
working_guest lazy-4-cpus 'iommu.strict=0 viommu.groups=00:02.0,00:03.0,00:04.0' 4 --iommu virtio,poll=off
