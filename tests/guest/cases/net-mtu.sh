# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A tap with large frames: the guest takes its MTU, and offloads go above that.
ip link set viommu1 mtu 9000
run_guest net-mtu 'iommu.strict=1 viommu.test=net,offloads viommu.ip=10.77.1.2 viommu.mtu=9000' \
	--net tap=viommu1,iommu=on
ip link set viommu1 mtu 1500
check 'net-mtu: the guest has the MTU of the tap, and frames above it' 'see the console' guest_passed net offloads
check 'net-mtu: no fault' "see the monitor's lines" no_fault
