# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Five levels, four CPUs with APIC ids of 8 bits, and unmaps that Linux collects.
. "$here/cases/vtd.sh"
vtd_guest vtd-lazy aw-bits=57,eim=off 'iommu.strict=0 viommu.groups=00:02.0,00:03.0,00:04.0 viommu.ir=xapic
	viommu.domain=DMA-FQ viommu.levels=5 viommu.scalable=off viommu.ats=none' 4
