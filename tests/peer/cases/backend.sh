# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and our back end, which is killed and started again under load.
. "$here/cases/common.sh"

backend_guest()
{
	wants "$1" || return 0
	local killer socket=$WORK/backend
	make_tap peer0 10.78.0.1
	start_backend "$socket" peer0
	name=backend-$1
	kill_peer peer0 10.78.0.2 start_backend "$socket" peer0 &
	killer=$!
	peer_guest "backend-$1" 10.78.0.2 "vhost-user=$socket" "$1" net,round-trips,load,remove,log
	check_kills "backend-$1" "$killer"
	check_held "backend-$1"
	check_backend "backend-$1"
	stop_peer
	ip link delete peer0
}

backend_guest intel-strict
[ -z "$full" ] || for way in virtio-strict virtio-lazy intel-lazy; do
	backend_guest "$way"
done
