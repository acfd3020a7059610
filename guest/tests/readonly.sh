# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# A disk that is only read, with "viommu" and zeros in its first sector: it says so, it can be read, and not be written.
. ./lib.sh

disk=
for device in /dev/vd?; do
	[ "$(cat "/sys/block/$(basename "$device")/ro")" = 0 ] || disk=$device
done
[ -n "$disk" ] || fail 'no disk is read-only'
expect 'what the disk holds' viommu "$(dd if="$disk" bs=512 count=1 2>/dev/null | tr -d '\0')"
if echo 0 | dd of="$disk" bs=512 seek=1 conv=fsync,sync 2>/dev/null; then
	fail 'it could be written'
fi
