# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# What a visitor sees: the devices behind the IOMMU, the disk and the network at work through it, and a device that
# tries to reach memory that it was not given.
. ./lib.sh

step()
{
	echo
	echo "== $*"
}

part()
{
	(. "/tests/$1.sh") || fail "$1: $(cat /run/why 2>/dev/null || echo failed)"
}

step 'The devices with a driver that the IOMMU protects'
for device in /sys/kernel/iommu_groups/*/devices/*; do
	say "group $(echo "$device" | cut -d / -f 5): $(basename "$device")," \
		"$(basename "$(readlink "$device/driver" 2>/dev/null || echo 'no driver')")"
done
if [ -b /dev/vda ]; then
	step 'Disk: files written and read back through the IOMMU'
	part disk
fi
if [ -n "$(parameter ip)" ]; then
	step 'Network: packets to the host and back through the IOMMU'
	part net
fi
if [ -n "$(find_edu)" ]; then
	step 'A device that tries to write where it may not'
	part edu
fi
# Linux before 6.15 puts a device into its group when a driver asks for it; by now each has one.
step 'Exactly the right devices are behind the IOMMU'
part boot
