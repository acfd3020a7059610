# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Scalable mode, with first-stage tables (case vtd-edu sees that by the kind of its faults).
. "$here/cases/vtd.sh"
vtd_guest vtd-scalable scalable=on 'iommu.strict=1 viommu.groups=00:02.0,00:03.0,00:04.0 viommu.ir=x2apic
	viommu.domain=DMA viommu.levels=4 viommu.scalable=on viommu.ats=none' 2
