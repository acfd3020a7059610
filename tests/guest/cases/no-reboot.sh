# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
truncate -s 8M "$WORK/raw"
run_guest no-reboot 'viommu.test=reboot' --no-reboot --disk "path=$WORK/raw,iommu=on"
once()
{
	[ "$status" = 0 ] && [ "$(grep -c 'first boot' "$WORK/$name.console")" = 1 ] && ! guest_passed reboot
}
check 'no-reboot: the monitor ends with 0 instead' "status $status" once
