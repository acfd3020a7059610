# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux without messages and without ECAM: virtio devices interrupt by shared pins, and ports lead to config space.
make_ext4 "$WORK/disk"
truncate -s 8M "$WORK/raw"
run_guest intx 'pci=nomsi,nommconf viommu.test=intx,disk,net viommu.seconds=1 viommu.ip=10.77.0.2 iommu.strict=1' \
	--cpus 2 --disk "path=$WORK/disk,iommu=on" --disk "path=$WORK/raw,iommu=on,addr=10" --net tap=viommu0,iommu=on
check 'intx: the guest powers off' "status $status" test "$status" = 0
check 'intx: level interrupts through the IOAPIC as _PRT says' 'see the console' guest_passed intx
check 'intx: disk and network work' 'see the console' guest_passed disk net
check 'intx: the host reads what the guest wrote' 'checksums differ' same_files "$WORK/disk"
check 'intx: no fault' "see the monitor's lines" no_fault
