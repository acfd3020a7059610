# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# No part of ours: QEMU with VT-d and DPDK's vhost. When the pairings of one of them with us fail, this says whether they work at all here.
start_dpdk "$WORK/dpdk" peer1 10.78.1.1
run_qemu qemu-dpdk "iommu.strict=1 viommu.test=net,round-trips,log viommu.seconds=$seconds viommu.ip=10.78.1.2" "$WORK/dpdk"
check_traffic qemu-dpdk
stop_peer
