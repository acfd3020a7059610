# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# No part of ours: QEMU with VT-d and DPDK's vhost. When the pairings of one of them with us fail, this says whether
# they work at all here. In the full form DPDK is killed and started again, too.
start_dpdk "$WORK/dpdk" peer1 10.78.1.1
killer=''
name=qemu-dpdk
if [ -n "$full" ]; then
	kill_peer peer1 10.78.1.2 start_dpdk "$WORK/dpdk" peer1 10.78.1.1 &
	killer=$!
fi
run_qemu qemu-dpdk "iommu.strict=1 viommu.test=net,round-trips,${killer:+load,}remove,log viommu.seconds=$seconds
	viommu.write=32K viommu.load=$GUEST_SECONDS viommu.ip=10.78.1.2" "$WORK/dpdk"
check_traffic qemu-dpdk
[ -z "$killer" ] || check_kills qemu-dpdk "$killer"
stop_peer
