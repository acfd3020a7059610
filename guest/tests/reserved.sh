# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# What PROBE reported: viommu.reserved=FIRST-LAST,... (16 hexadecimal digits each, as Linux prints them) are reserved in
# the group of each device, and so is the MSI window.
. ./lib.sh

ranges=$(parameter reserved | tr ',' ' ')
[ -n "$ranges" ] || fail 'viommu.reserved= is missing'
found=0
for file in /sys/kernel/iommu_groups/*/reserved_regions; do
	found=$((found + 1))
	for range in $ranges; do
		grep -qx "0x${range%-*} 0x${range#*-} reserved" "$file" || fail "$file: $(tr '\n' ';' <"$file")"
	done
	grep -q '^0x00000000fee00000 0x00000000feefffff msi' "$file" || fail "$file: $(tr '\n' ';' <"$file")"
done
[ "$found" -gt 0 ] || fail 'there are no IOMMU groups'
say "reserved regions: $(tr '\n' ';' <"$file")"
