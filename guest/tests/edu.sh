# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# DMA of the edu device while nothing has ever attached it, then through VFIO, allowed and not. Every denial has to show in
# the kernel's log, unless viommu.faults=off.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'

denied()
{
	before=$(faults)
	"$@" || fail "$* ended with status $?"
	expect_fault "$before"
	# Leave room in what the kernel logs of them.
	seen=$((seen + $(faults) - before))
	if [ "$seen" -ge "$room" ]; then
		sleep 6
		seen=0
	fi
}

seen=0
room=8
[ ! -e /sys/class/iommu/dmar0 ] || room=2

[ ! -e "/sys/bus/pci/devices/$edu/driver" ] || fail 'something has attached the edu device already'
denied edu-devmem "$edu"
echo 1 >/sys/bus/pci/rescan
wait_for 5 "$edu after the rescan" test -e "/sys/bus/pci/devices/$edu"

bind_vfio "$edu"
edu-vfio "$edu" allowed || fail "edu-vfio allowed ended with status $?"
denied edu-vfio "$edu" unmapped
denied edu-vfio "$edu" readonly
denied edu-vfio "$edu" wild
