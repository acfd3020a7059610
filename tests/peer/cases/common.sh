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

# dpdk_guest CASE TAP NETWORK MODEL-MODE KEYS: a guest whose card, with these keys, DPDK serves, the host being NETWORK.1. In the full form
# DPDK is killed and started again; in the lab it starts for so long that the short form leaves that out.
dpdk_guest()
{
	wants "$4" || return 0
	local case=$1-$4 killer='' outages='' socket=$WORK/$1
	local start=(start_dpdk "$socket" "$2" "$3.1")
	"${start[@]}"
	name=$case
	if [ -n "$full" ]; then
		kill_peer "$2" "$3.2" "${start[@]}" &
		killer=$!
		outages=long
	fi
	peer_guest "$case" "$3.2" "vhost-user=$socket$5" "$4" "net,round-trips,${killer:+load,}remove,log"
	if [ -n "$killer" ]; then
		check_kills "$case" "$killer"
		check_held "$case"
	fi
	stop_peer
}
