# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# What Linux made of the VT-d units, by its own words: viommu.ir=x2apic|xapic|off, viommu.domain=TYPE of every group,
# viommu.levels=3|4|5 at most, viommu.scalable=on|off, viommu.ats=SLOT,... or none; viommu.idle=N units translate
# nothing (default 0: older systems turn all of VT-d off then). No fault: to be run last.
. ./lib.sh

kernel_says()
{
	dmesg | grep -qF "$1" || fail "the kernel did not say: $1"
	say "the kernel says: $1"
}

check_remapping()
{
	kernel_says 'DMAR: Intel(R) Virtualization Technology for Directed I/O'
	idle=$(parameter idle)
	expect 'units that translate nothing' "${idle:-0}" "$(dmesg | grep -cE "$idle_unit" || :)"
	for group in /sys/kernel/iommu_groups/*; do
		expect "domain of group ${group##*/}" "$(parameter domain)" "$(cat "$group/type")"
	done
}

# Each interrupt of a device and of the IOAPIC, or none, goes through the remapping table.
check_interrupts()
{
	remapped=$(grep -cE ' IR-(PCI-MSI|IO-APIC)' /proc/interrupts || :)
	plain=$(grep -cE ' (PCI-MSI|IO-APIC)' /proc/interrupts || :)
	if [ "$(parameter ir)" = off ]; then
		expect 'remapped interrupts' 0 "$remapped"
		[ "$plain" -gt 0 ] || fail 'there are no interrupts'
		return
	fi
	kernel_says "DMAR-IR: Enabled IRQ remapping in $(parameter ir) mode"
	expect 'interrupts that are not remapped' 0 "$plain"
	[ "$remapped" -gt 1 ] || fail 'there are no remapped interrupts'
	say "$remapped interrupts are remapped"
}

# CAP.SAGAW, bits 12:8: a bit for each number of levels that page tables may have, from 2 on.
check_levels()
{
	cap=$((0x$(cat /sys/class/iommu/dmar0/intel-iommu/cap)))
	levels=2
	while [ $((cap >> 9 >> (levels - 2))) -gt 0 ] && [ $((cap >> 8 & 0x1f)) -ge $((1 << (levels - 1))) ]; do
		levels=$((levels + 1))
	done
	expect 'levels of page tables' "$(parameter levels)" "$levels"
}

# RTADDR.TTM, bits 11:10: 1 is scalable mode. The kernel shows it in no other way; needs iomem=relaxed.
check_mode()
{
	rtaddr=$(devmem 0xfed90020 64)
	mode=off
	[ $((rtaddr >> 10 & 3)) = 0 ] || mode=on
	expect 'scalable mode' "$(parameter scalable)" "$mode"
}

# The first extended capability is ATS (15); bit 15 of its control register is Enable.
ats_enabled()
{
	config=/sys/bus/pci/devices/0000:00:$1.0/config
	[ "$(xxd -p -s 256 -l 2 "$config")" = 0f00 ] && [ "$(xxd -p -s 263 -l 1 "$config")" = 80 ]
}

check_ats()
{
	for device in /sys/bus/pci/devices/*; do
		slot=$(basename "$device" | cut -c 9-10)
		case ,$(parameter ats), in
		*",$slot,"*) ats_enabled "$slot" || fail "ATS of $slot is not enabled" ;;
		*) ! ats_enabled "$slot" || fail "ATS of $slot is enabled" ;;
		esac
	done
	say "ATS is enabled: $(parameter ats)"
}

check_remapping
check_interrupts
check_levels
check_mode
check_ats
expect 'faults in the kernel log' 0 "$(dmesg | grep -cE "$vtd_complaint" || :)"
