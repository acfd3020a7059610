# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The first boot leaves a mark on /dev/vda and reboots; the second finds it. The mark is in the last sector, which no
# file system uses when the host leaves it free.
. ./lib.sh

disk=/dev/vda
wait_for 10 "$disk" test -b "$disk"
last=$(($(cat /sys/block/vda/size) - 1))

if dd if="$disk" bs=512 skip="$last" count=1 2>/dev/null | grep -q viommu-rebooted; then
	dd if=/dev/zero of="$disk" bs=512 seek="$last" count=1 conv=fsync 2>/dev/null
	say 'second boot: the mark is there'
else
	say 'first boot: leaving a mark'
	printf viommu-rebooted | dd of="$disk" bs=512 seek="$last" conv=fsync,sync 2>/dev/null
	reboot -f
	sleep 60
	fail 'reboot did not end this boot'
fi
