# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and DPDK's vhost as the back end.
. "$here/cases/common.sh"

# dpdk_guest MODEL-MODE [TEST]: with the test "load" DPDK is killed, too.
dpdk_guest()
{
	wants "$1" || return 0
	local killer='' outages='' socket=$WORK/dpdk
	start_dpdk "$socket" peer1 10.78.1.1
	name=dpdk-$1
	if [ -n "${2:-}" ]; then
		kill_peer peer1 10.78.1.2 start_dpdk "$socket" peer1 10.78.1.1 &
		killer=$!
		outages=long # in the lab DPDK starts for more than five seconds
	fi
	peer_guest "dpdk-$1" 10.78.1.2 "vhost-user=$socket" "$1" "net,round-trips,${2:+$2,}remove,log"
	if [ -n "$killer" ]; then
		check_kills "dpdk-$1" "$killer"
		check_held "dpdk-$1"
	fi
	stop_peer
}

# DPDK takes so long to start in the lab that its kills are for the full form.
if [ -z "$full" ]; then
	dpdk_guest virtio-strict
else
	for way in virtio-strict virtio-lazy intel-strict intel-lazy; do
		dpdk_guest "$way" load
	done
fi
