# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Sizes of mappings that Linux does not know, and a granule that it does not take.
make_ext4 "$WORK/disk"
run_guest page-sizes 'iommu.strict=1 viommu.test=boot,disk viommu.groups=00:02.0' \
	--iommu virtio,page-size-mask=0x40201000 --disk "path=$WORK/disk,iommu=on" --no-reboot
check 'granule: pages of 4 KiB, 2 MiB and 1 GiB: the disk works' "status $status" guest_passed boot disk
check 'granule: the host reads what the guest wrote' 'checksums differ' same_files "$WORK/disk"
check 'granule: no fault' "see the monitor's lines" no_fault

run_guest granule 'viommu.test=granule' --iommu virtio,granule=64K --test-device edu,iommu=on --no-reboot
check 'granule: 64 KiB is refused by Linux, and the device stays blocked' 'see the console' guest_passed granule
check 'granule: the guest powers off' "status $status" test "$status" = 0
