# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
truncate -s 8M "$WORK/raw"
reboots=yes run_guest reboot 'iommu.strict=1 viommu.test=reboot' --cpus 2 --disk "path=$WORK/raw,iommu=on"
check 'reboot: the guest starts again and then powers off' "status $status" test "$status" = 0
check 'reboot: the second boot finds what the first one left' 'see the console' guest_passed reboot
