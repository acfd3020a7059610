# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the cases with our monitor share.

# peer_guest CASE ADDRESS CARD MODEL-MODE TESTS: a guest with one card, behind the model of an IOMMU (virtio or intel),
# in that mode (strict, lazy, or caching: strict, and the guest tells of what it maps). $outages: how long it is without
# a back end, if that is long.
peer_guest()
{
	local case=$1 model=${4%-*} strict=1 card=$3,iommu=on iommu=virtio cmdline='' watcher
	[[ $4 != *-lazy ]] || strict=0
	if [ "$model" = intel ]; then
		iommu=intel,device-iotlb=on
		[[ $4 != *-caching ]] || iommu=$iommu,caching-mode=on
		card=$card,ats=on
		cmdline='intel_iommu=on '
	fi
	watch_stats "$WORK/$case.control" &
	watcher=$!
	run_guest "$case" "${cmdline}iommu.strict=$strict viommu.test=$5 viommu.seconds=$seconds viommu.write=32K
		viommu.load=$GUEST_SECONDS viommu.ip=$2${outages:+ viommu.outages=$outages}" \
		--iommu "$iommu" --net "$card" --no-reboot --control "$WORK/$case.control"
	check_traffic "$case"
	check "$case: the monitor reports no fault" "see the monitor's lines" no_fault
	wait "$watcher"
	show_stats "$case"
}

# dpdk_guest CASE TAP NETWORK MODEL-MODE KEYS: a guest whose card, with these keys, DPDK serves, the host being
# NETWORK.1. In the full form DPDK is killed and started again; in the lab it starts for so long that the short form
# leaves that out.
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

# counted PATTERN: what the monitor counted of its device IOTLB
counted()
{
	grep -qE "\"path\": $1" "$WORK/stats"
}

nothing_counted()
{
	grep -q '"kind": "net"' "$WORK/stats" && ! counted .
}

# check_messages CASE WAY KEYS: the back end has asked and was told no more than that takes.
check_messages()
{
	local some='[1-9][0-9]*'
	case $3,$2 in
	*isolate=on*)
		check "$1: the back end has no translations" "$(cat "$WORK/stats")" nothing_counted
		;;
	*shared=off*)
		check "$1: translations come by messages" "$(cat "$WORK/stats")" \
			counted "\"vhost-user\", \"misses\": [0-9]+, \"updates\": $some, \"invalidations\": $some,"
		;;
	*,virtio-* | *,intel-caching)
		check "$1: the shared table spares all misses and updates" "$(cat "$WORK/stats")" \
			counted '"vhost-user-shared", "misses": 0, "updates": 0, "invalidations": 0,'
		;;
	*)
		check "$1: the shared table spares all updates" "$(cat "$WORK/stats")" \
			counted "\"vhost-user-shared\", \"misses\": $some, \"updates\": 0, \"invalidations\": 0,"
		;;
	esac
}

# backend_guest NAME MODEL-MODE KEYS: a guest whose card, with these keys, our back end serves, which is killed and
# started again.
backend_guest()
{
	wants "$2" || return 0
	local killer case=$1-$2 socket=$WORK/backend
	make_tap peer0 10.78.0.1
	start_backend "$socket" peer0
	name=$case
	kill_peer peer0 10.78.0.2 start_backend "$socket" peer0 &
	killer=$!
	peer_guest "$case" 10.78.0.2 "vhost-user=$socket${3:-}" "$2" net,round-trips,load,remove,log
	check_kills "$case" "$killer"
	check_held "$case"
	check_messages "$case" "$2" "${3:-}"
	check_backend "$case"
	stop_peer
	ip link delete peer0
}
