# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# DMA of the edu device while nothing has ever attached it, then through VFIO, allowed and not. Every denial has to show
# in the kernel's log, unless viommu.faults=off. They come one by one: as long as the kernel has not seen the last one,
# VT-d need not tell of another.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'

# denied DIRECTION ADDRESS COMMAND...
denied()
{
	# Leave room in what the kernel logs of them.
	if [ "$seen" -ge "$room" ]; then
		sleep 6
		seen=0
	fi
	pattern=$(blocked_dma_of "${edu#0000:}" "$1" "$2")
	shift 2
	before=$(faults)
	"$@" || fail "$* ended with status $?"
	expect_fault "$before" "$pattern"
	seen=$((seen + $(faults) - before))
}

seen=$(faults)
room=8
[ ! -e /sys/class/iommu/dmar0 ] || room=2

[ ! -e "/sys/bus/pci/devices/$edu/driver" ] || fail 'something has attached the edu device already'
denied write '0x[0-9a-f]+' edu-devmem "$edu"
echo 1 >/sys/bus/pci/rescan
wait_for 5 "$edu after the rescan" test -e "/sys/bus/pci/devices/$edu"

bind_vfio "$edu"
edu-vfio "$edu" allowed || fail "edu-vfio allowed ended with status $?"
denied write 0x10000000 edu-vfio "$edu" unmapped-write
denied read 0x10000000 edu-vfio "$edu" unmapped-read
denied write 0x10000000 edu-vfio "$edu" readonly
denied write '0x[0-9a-f]+' edu-vfio "$edu" physical
denied write 0x12345000 edu-vfio "$edu" wild
