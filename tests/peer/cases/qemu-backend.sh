# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our back end under QEMU, with VT-d: strict, killed and started again under load; in the full form lazy too.

# qemu_backend MODE STRICT TESTS
qemu_backend()
{
	wants "intel-$1" || return 0
	local case=qemu-backend-$1 socket=$WORK/backend killer=''
	make_tap peer0 10.78.0.1
	start_backend "$socket" peer0
	name=$case
	if [[ $3 == *load* ]]; then
		kill_peer peer0 10.78.0.2 start_backend "$socket" peer0 &
		killer=$!
	fi
	run_qemu "$case" "iommu.strict=$2 viommu.test=$3 viommu.seconds=$seconds viommu.write=32K
		viommu.load=$GUEST_SECONDS viommu.ip=10.78.0.2" "$socket"
	check_traffic "$case"
	if [ -n "$killer" ]; then
		check_kills "$case" "$killer"
	fi
	check_backend "$case"
	stop_peer
	ip link delete peer0
}

qemu_backend strict 1 net,round-trips,load,remove,log
[ -z "$full" ] || qemu_backend lazy 0 net,round-trips,remove,log
