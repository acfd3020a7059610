# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# What Linux writes into its log, in each form that kernels from 5.10 on give it. Whatever reads such a log takes it
# from here, in guests and on the host. These are extended regular expressions for GNU's grep and busybox's.
# shellcheck disable=SC2034

# A DMA that was blocked, as the drivers of virtio-iommu and VT-d tell of it, and the first kernel that says it so:
#
#	virtio_iommu virtio0: page fault from EP 32 at 0x12345000 [W]
#	DMAR: [DMA Write] Request device [00:04.0] PASID ffffffff fault addr 12345000 [fault reason 05] ...	5.10
#	DMAR: [DMA Write NO_PASID] Request device [0x00:0x04.0] fault addr 0x12345000 [... 0x05] ...	5.14
#	DMAR: [DMA Write NO_PASID] Request device [00:04.0] fault addr 0x12345000 [fault reason 0x05] ...	5.15
#	DMAR: [DMA Write NO_PASID] Request device [0000:00:04.0] fault addr 0x12345000 [... 0x05] ...	7.2
request_of_vtd='DMAR: \[DMA (Read|Write)[^]]*\] Request device \[[0-9a-fx:.]+\] .*fault addr'
blocked_dma="virtio_iommu .*fault from EP [0-9]+|$request_of_vtd"

# What VT-d's driver says when anything at all went wrong.
vtd_complaint='DMAR: .*( fault|timeout|[Ee]rror|Invalidation)'

# Memory types are not as firmware leaves them.
mtrrs_off='MTRRs disabled'

# DMA is unmapped at once.
strict_mode='DMAR: Disable batched IOTLB flush|DMA domain TLB invalidation policy: strict mode'

# A VT-d unit whose CAP.SAGAW is 0.
idle_unit='DMAR: dmar[0-9]+: No supported address widths'

# A processor that is stuck, the lab's fault as a rule.
stuck_processor='rcu: INFO: rcu_[a-z]+ (self-)?detected (expedited )?stall|watchdog: BUG: soft lockup'

# The kernel's own failures. In older ones an exception that nobody handles has no "Oops" in its line, only its number.
broken_kernel='BUG: |Oops|Kernel panic|: [0-9a-f]{4} \[#[0-9]+\]'
warning='WARNING: '

# One that is Linux's own: its scheduler does not know that a processor was stopped, for a power-off or a panic, and
# sends there what the last one wakes. Behind VT-d the last one has time for that up to 6.14: as it switches the unit
# off it takes a lock that may give way to another process (intel_iommu_shutdown), although interrupts are off.
stopped_cpu='WARNING: .*native_smp_send_reschedule'

# A network card, and a process, that stand still.
still_card='NETDEV WATCHDOG|transmit queue .* timed out'
hung_task='hung_task|blocked for more than'

# A driver that finds in its ring what it cannot use.
foul_ring='virtio.*(is not a head|bad|broken|id .* out of range)'

# The virtio-iommu's granule is larger than the guest's pages.
granule_refused='granule 0x[0-9a-f]+ larger than system page size'

# Configuration space by the ports, and an interrupt that nobody wanted.
by_ports='PCI: Using configuration type 1 for base access'
stray_interrupt='irq [0-9]+: nobody cared'

# blocked_dma_of DEVICE DIRECTION ADDRESS [REASON]: as blocked_dma, but for a "read" or "write" of that device
# ("00:04.0") at ADDRESS, a number or a pattern of one ("0x[0-9a-f]+"). VT-d's line has a reason as well; with REASON, a
# number, no other line matches.
blocked_dma_of()
{
	local bus="${1%%:*}" slot="${1#*:}" function="${1##*.}" address="${3#0x}" type letter reason=
	slot=${slot%.*}
	case $2 in
	read) type=Read letter=R ;;
	write) type=Write letter=W ;;
	*) return 1 ;;
	esac
	if [ -n "${4:-}" ]; then
		reason=$(printf '(0x%02x|%02d)\\]' "$4" "$(($4))")
	else
		printf '%s' "virtio_iommu .*fault from EP $((0x$bus * 256 + 0x$slot * 8 + function)) at 0x$address "
		printf '%s' "\[[RWX]*${letter}[RWX]*\]|"
	fi
	printf '%s' "DMAR: \[DMA ${type}[^]]*\] Request device \[(0000:)?(0x)?$bus:(0x)?$slot\.$function\] "
	printf '%s\n' "(PASID [0-9a-f]+ )?fault addr (0x)?$address \[fault reason $reason"
}
