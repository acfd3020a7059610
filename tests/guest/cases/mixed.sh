# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Devices with and without iommu=on in one guest: exactly the first kind is in the guest's groups, and all work.
make_ext4 "$WORK/disk"
truncate -s 8M "$WORK/raw"
run_guest mixed 'iommu.strict=1 viommu.test=boot,disk,net viommu.cpus=2 viommu.seconds=1 viommu.ip=10.77.0.2,10.77.1.2
	viommu.groups=00:02.0,00:07.0' --cpus 2 --disk "path=$WORK/disk,iommu=on" --disk "path=$WORK/raw" \
	--net tap=viommu0 --net tap=viommu1,iommu=on,addr=7
check 'mixed: the guest powers off' "status $status" test "$status" = 0
check 'mixed: exactly the devices with iommu=on are in groups' 'see the console' guest_passed boot
check 'mixed: both disks work' 'see the console' guest_passed disk
check 'mixed: both network cards work' 'see the console' guest_passed net
check 'mixed: the host reads what the guest wrote' 'checksums differ' same_files "$WORK/disk"
check 'mixed: the host reads what the guest wrote, without IOMMU' 'checksums differ' same_raw "$WORK/raw"
check 'mixed: no fault' "see the monitor's lines" no_fault
