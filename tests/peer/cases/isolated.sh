# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Back ends that get no guest memory: DPDK's, which is killed and started again in the full form.
. "$here/cases/common.sh"

isolated_guest()
{
	wants "$1" || return 0
	local killer='' outages='' socket=$WORK/isolated
	start_dpdk "$socket" peer3 10.78.3.1
	name=isolated-$1
	if [ -n "$full" ]; then
		kill_peer peer3 10.78.3.2 start_dpdk "$socket" peer3 10.78.3.1 &
		killer=$!
		outages=long # in the lab DPDK starts for more than five seconds
	fi
	peer_guest "isolated-$1" 10.78.3.2 "vhost-user=$socket,isolate=on" "$1" "net,round-trips,${killer:+load,}remove,log"
	if [ -n "$killer" ]; then
		check_kills "isolated-$1" "$killer"
		check_held "isolated-$1"
	fi
	stop_peer
}

isolated_guest virtio-strict
[ -z "$full" ] || isolated_guest intel-strict
