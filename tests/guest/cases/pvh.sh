# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux by its PVH entry point, as an ELF file.
"$here/extract-vmlinux" "$kernel" "$WORK/vmlinux"
truncate -s 8M "$WORK/raw"
kernel=$WORK/vmlinux run_guest pvh 'viommu.test=boot,pvh viommu.cpus=2 viommu.groups=00:02.0' \
	--cpus 2 --disk "path=$WORK/raw,iommu=on"
check 'pvh: the guest powers off' "status $status" test "$status" = 0
check 'pvh: Linux started by PVH, with initrd, ACPI, two processors' 'see the console' guest_passed boot pvh
