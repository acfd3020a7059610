# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The edu device behind VT-d, in legacy and in scalable mode: the guest's kernel reports each blocked DMA with the
# reason of the table that blocked it, the monitor in its line. In scalable mode Linux gives its own domains first-stage
# tables, and VFIO's second-stage ones, or, from 7.x on, first-stage ones too.

# told REASONS DIRECTION ADDRESS: the guest's own log has this fault, for one of these reasons
told()
{
	local reason
	for reason in $1; do
		! guest_log_has "$(blocked_dma_of 00:02.0 "$2" "$3" "$reason")" || return 0
	done
	return 1
}

# edu_guest CASE KEYS-OF-THE-UNIT OWN-DOMAIN WITHOUT-CONTEXT READ READ-ONLY WILD: fault reasons
edu_guest()
{
	run_guest "$1" 'intel_iommu=on iommu.strict=1 iomem=relaxed viommu.test=edu-domain,edu' \
		--test-device edu,iommu=on --iommu "intel,$2"
	check "$1: the guest powers off" "status $status" test "$status" = 0
	check "$1: allowed, then denied four ways, memory intact, each in the kernel log" 'see the console' \
		guest_passed edu-domain edu
	check "$1: DMAR tells of a DMA in the kernel's own domain" 'no line' told "$3" write 0x12346000
	check "$1: DMAR tells of a device without context" 'no line' told "$4" write '0x[0-9a-f]+'
	check "$1: DMAR tells of a read after unmap" 'no line' told "$5" read 0x10000000
	check "$1: DMAR tells of a write to a read-only mapping" 'no line' told "$6" write 0x10000000
	check "$1: DMAR tells of a write to what was never mapped" 'no line' told "$7" write 0x12345000
	local fault='^viommu: fault: 0000:00:02\.0'
	check "$1: the monitor tells of a write after unmap" 'no line' \
		said "$fault write 0x10000000: not mapped \(domain [0-9]+\)"
	check "$1: the monitor tells of a read after unmap" 'no line' \
		said "$fault read 0x10000000: not mapped \(domain [0-9]+\)"
	check "$1: the monitor tells of a write to a read-only mapping" 'no line' \
		said "$fault write 0x10000000: no permission \(domain [0-9]+\)"
	check "$1: the monitor tells of a write to what was never mapped" 'no line' \
		said "$fault write 0x12345000: not mapped \(domain [0-9]+\)"
}

edu_guest vtd-edu aw-bits=48 0x05 0x02 0x06 0x05 0x05
edu_guest vtd-edu-scalable scalable=on 0x71 0x41 '0x79 0x71' '0x79 0x85' '0x79 0x71'
