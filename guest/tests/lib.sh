# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# What the test scripts share. They run under "sh -eu" with their output on the console.
. /tests/kernel-log.sh

# The value of viommu.NAME on the kernel command line; empty when there is none.
parameter()
{
	tr ' \t' '\n\n' </proc/cmdline | sed -n "s/^viommu\.$1=//p" | tail -n 1
}

say()
{
	echo "guest: $*"
}

# Ends the test; the first reason counts.
fail()
{
	[ -e /run/why ] || echo "$*" >/run/why
	exit 1
}

# expect WHAT WANTED FOUND
expect()
{
	[ "$2" = "$3" ] || fail "$1: '$3' instead of '$2'"
	say "$1: $2"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds
wait_for()
{
	patience=$1 what=$2
	shift 2
	while ! "$@" 2>/dev/null; do
		[ "$patience" -gt 0 ] || fail "no $what"
		patience=$((patience - 1))
		sleep 1
	done
}

# The names of the PCI functions with that vendor and device, "0000:00:04.0"
find_devices()
{
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/vendor")" = "$1" ] && [ "$(cat "$device/device")" = "$2" ]; then
			basename "$device"
		fi
	done
}

find_edu()
{
	find_devices 0x1234 0x11e8 | head -n 1
}

# Hands a PCI function to vfio-pci.
bind_vfio()
{
	modprobe vfio-pci
	modprobe vfio_iommu_type1
	# Guests without interrupt remapping: the test trusts the device with interrupts, not with memory.
	echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
	echo vfio-pci >"/sys/bus/pci/devices/$1/driver_override"
	if [ -e "/sys/bus/pci/devices/$1/driver" ]; then
		echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
	fi
	echo "$1" >/sys/bus/pci/drivers_probe
	group=$(basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")") || fail "$1 is in no IOMMU group"
	wait_for 5 "/dev/vfio/$group" test -e "/dev/vfio/$group"
}

# How many faults the kernel has reported so far. Both drivers limit their rate to ten lines in five seconds, and VT-d's
# counts each fault as three.
faults()
{
	dmesg | grep -cE "$blocked_dma" || :
}

# new_fault BEFORE PATTERN: the first one like that since there were BEFORE
new_fault()
{
	dmesg | grep -E "$blocked_dma" | tail -n +$(($1 + 1)) | grep -m 1 -E "$2"
}

is_logged()
{
	[ -n "$(new_fault "$1" "$2")" ]
}

# expect_fault BEFORE PATTERN: the kernel has reported one, or does so within a few seconds
expect_fault()
{
	if [ "$(parameter faults)" = off ]; then
		return
	fi
	wait_for 5 "fault like \"$2\" in the kernel's log" is_logged "$1" "$2"
	say "the kernel's log says: $(new_fault "$1" "$2" | sed 's/^\[[^]]*\] //')"
}
