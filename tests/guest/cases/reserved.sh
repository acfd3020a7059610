# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Reserved regions in the guest's own list. One of them lies where Linux takes its first I/O addresses from, so the disk
# works around it.
make_ext4 "$WORK/disk"
run_guest reserved 'iommu.strict=1 viommu.test=boot,disk,reserved viommu.groups=00:02.0
	viommu.reserved=0000000012340000-0000000012347fff,00000000fff00000-00000000ffffffff' \
	--iommu virtio,resv=0x12340000-0x12347fff,resv=4293918720-0xffffffff \
	--disk "path=$WORK/disk,iommu=on" --no-reboot
check 'reserved: the guest powers off' "status $status" test "$status" = 0
check 'reserved: the guest lists the regions' 'see the console' guest_passed reserved
check 'reserved: the disk works around them' 'see the console' guest_passed disk
check 'reserved: no fault' "see the monitor's lines" no_fault
