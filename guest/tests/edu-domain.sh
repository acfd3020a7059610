# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The edu device in the domain that the kernel has made for it, where nothing is mapped: a write is blocked, and the
# kernel's log says by which kind of table. Needs iomem=relaxed.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'
device=/sys/bus/pci/devices/$edu
bar=$(cut -d ' ' -f 1 "$device/resource" | head -n 1)

# register OFFSET VALUE
register()
{
	devmem "$(printf '0x%x' $((bar + $1)))" 64 "$2"
}

# Memory decoding and bus mastering, then 16 bytes from the device's buffer to 0x12346000.
printf '\006' | dd of="$device/config" bs=1 seek=4 conv=notrunc 2>/dev/null
before=$(faults)
register 0x80 0x40000
register 0x88 0x12346000
register 0x90 16
register 0x98 3
expect_fault "$before" "$(blocked_dma_of "${edu#0000:}" write 0x12346000)"
