# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Pass-through contexts; interrupts are not remapped.
. "$here/cases/vtd.sh"
vtd_guest vtd-pass-through intremap=off 'iommu=pt viommu.groups=00:02.0,00:03.0,00:04.0 viommu.ir=off
	viommu.domain=identity viommu.levels=4 viommu.scalable=off viommu.ats=none' 4
