# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The processors are there (viommu.cpus=N) with their caches on, and exactly the named devices
# (viommu.groups=00:02.0,00:03.0, or "none") are in IOMMU groups, each in one of its own; the host bridge, which does no
# DMA, may have a group. The kernel leaves every BAR where the monitor has put it, and finds memory decoding on.
. ./lib.sh

cpus=$(parameter cpus)
[ -z "$cpus" ] || expect processors "$cpus" "$(nproc)"

# As firmware would, the monitor has switched the caches on.
! dmesg | grep -q 'MTRRs disabled' || fail "the kernel's log: $(dmesg | grep -m 1 'MTRRs disabled')"

groups=$(parameter groups)
if [ -n "$groups" ]; then
	[ "$groups" != none ] || groups=
	want=$(echo "$groups" | tr , '\n' | sed '/./!d; s/^/0000:/' | sort | tr '\n' ' ')
	members=$(find /sys/kernel/iommu_groups -path '*/devices/*' ! -name 0000:00:00.0)
	have=$(for device in $members; do
		basename "$device"
	done | sort | tr '\n' ' ')
	expect 'devices behind the IOMMU' "$want" "$have"
	count=$(for device in $members; do
		dirname "$device"
	done | sort -u | wc -l)
	expect 'IOMMU groups' "$(echo "$want" | wc -w)" "$count"
fi

# Later a test may take a device away and have the bus scanned, and then the kernel chooses.
moved=$(dmesg | sed '/Run \/init as init process/q' |
	grep -E "pci [0-9a-f:.]+: .*(can't claim|no space for|failed to assign|BAR [0-9]+.*assigned)" || :)
expect 'BARs that the kernel moves or refuses' '' "$moved"
enabled=$(dmesg | grep -E 'enabling device \(0000' || :)
expect 'devices whose memory decoding was off' '' "$enabled"
say "kernel $(uname -r), up for $(cut -d ' ' -f 1 /proc/uptime) s"
