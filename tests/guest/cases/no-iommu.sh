# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
make_ext4 "$WORK/disk"
truncate -s 8M "$WORK/raw"
run_guest no-iommu 'viommu.test=boot,disk,net viommu.groups=none viommu.ip=10.77.0.2' \
	--disk "path=$WORK/disk" --disk "path=$WORK/raw" --net tap=viommu0
check 'no-iommu: the guest powers off' "status $status" test "$status" = 0
check 'no-iommu: no IOMMU groups' 'see the console' guest_passed boot
check 'no-iommu: disk and network work' 'see the console' guest_passed disk net
show_throughput
