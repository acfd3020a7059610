# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux attaches the devices to bypass domains.
. "$here/cases/common.sh"
working_guest pass-through 'iommu=pt viommu.groups=00:02.0,00:03.0,00:04.0' 4
