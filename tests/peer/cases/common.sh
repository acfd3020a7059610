# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the cases with our monitor share.

# peer_guest CASE ADDRESS CARD MODEL-MODE TESTS: a guest with one card, behind the model of an IOMMU (virtio or intel), in that mode (strict
# or lazy). $outages: how long it is without a back end, if that is long.
peer_guest()
{
	local case=$1 model=${4%-*} strict=1 card=$3,iommu=on iommu=virtio cmdline=''
	[[ $4 != *-lazy ]] || strict=0
	if [ "$model" = intel ]; then
		iommu=intel,device-iotlb=on
		card=$card,ats=on
		cmdline='intel_iommu=on '
	fi
	run_guest "$case" "${cmdline}iommu.strict=$strict viommu.test=$5 viommu.seconds=$seconds viommu.write=32K
		viommu.load=$GUEST_SECONDS viommu.ip=$2${outages:+ viommu.outages=$outages}" --iommu "$iommu" --net "$card" --no-reboot
	check_traffic "$case"
	check "$case: the monitor reports no fault" "see the monitor's lines" no_fault
}
