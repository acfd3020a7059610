# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# One command line with DMA and interrupt remapping, and ATS: the guest enables it, and invalidates device TLBs.
. "$here/cases/vtd.sh"
keys=,iommu=on,ats=on
vtd_guest vtd-strict device-iotlb=on 'iommu.strict=1 viommu.groups=00:02.0,00:03.0,00:04.0 viommu.ir=x2apic
	viommu.domain=DMA viommu.levels=4 viommu.scalable=off viommu.ats=02,04' 1
for counter in context_invalidations iotlb_invalidations device_tlb_invalidations irq_invalidations waits walks; do
	check "vtd-strict: stats count $counter" "$(stat_of "$counter")" counted "$counter"
done
check 'vtd-strict: no invalidation timed out' "$(stat_of timeouts)" test "$(stat_of timeouts)" = 0
