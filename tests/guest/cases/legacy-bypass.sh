# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The older BYPASS, which Linux does not accept: what it has not attached is blocked, and its identity domain maps all
# of the address space because it cannot ask for a bypass domain.
make_ext4 "$WORK/disk"
run_guest legacy-bypass 'iommu.passthrough=1 viommu.test=boot,disk viommu.groups=00:02.0' \
	--iommu virtio,bypass=legacy --disk "path=$WORK/disk,iommu=on" --no-reboot
check 'legacy-bypass: the guest powers off' "status $status" test "$status" = 0
check 'legacy-bypass: pass-through without BYPASS_CONFIG' 'see the console' guest_passed boot disk
check 'legacy-bypass: the host reads what the guest wrote' 'checksums differ' same_files "$WORK/disk"
check 'legacy-bypass: no fault' "see the monitor's lines" no_fault
