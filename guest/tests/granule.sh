# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# Linux takes no granule that is larger than its pages, and says so when a driver asks for the device. It has not
# attached the device then, and so the IOMMU keeps it from memory.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'

refused()
{
	dmesg | grep -E "$granule_refused" | grep -q 'granule 0x10000 '
}

modprobe vfio-pci
echo vfio-pci >"/sys/bus/pci/devices/$edu/driver_override"
echo "$edu" >/sys/bus/pci/drivers_probe 2>/dev/null || :
wait_for 5 "line about the granule in the kernel's log" refused
say "the kernel's log says: $(dmesg | grep -E "$granule_refused" | tail -n 1 | sed 's/^\[[^]]*\] //')"
[ ! -e "/sys/bus/pci/devices/$edu/driver" ] || fail 'a driver has taken the device'
edu-devmem "$edu" || fail "edu-devmem ended with status $?"
