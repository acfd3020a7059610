# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Rings of other sizes while packets go both ways, behind a strict IOMMU: Linux resets single queues for that.
run_guest net-rings 'iommu.strict=1 viommu.test=net,rings viommu.seconds=1 viommu.ip=10.77.0.2' \
	--cpus 2 --net tap=viommu0,iommu=on
check 'net-rings: the guest powers off' "status $status" test "$status" = 0
check 'net-rings: ethtool -G under load' 'see the console' guest_passed net rings
check 'net-rings: no fault' "see the monitor's lines" no_fault
