# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Three levels, caching mode, and a disk that does DMA past the IOMMU; its interrupts are remapped by the second unit.
. "$here/cases/vtd.sh"
raw_keys=
vtd_guest vtd-mixed aw-bits=39,caching-mode=on 'iommu.strict=1 viommu.groups=00:02.0,00:04.0 viommu.ir=x2apic
	viommu.idle=1 viommu.domain=DMA viommu.levels=3 viommu.scalable=off viommu.ats=none' 2
