# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The last test: the kernel has logged no fault, no memory types unlike firmware's, no card that stands still, no stuck
# processor and no mistake of its own. viommu.outages=long: the back end was away for more than the five seconds that
# Linux lets a card stand still.
. ./lib.sh

[ "$(parameter outages)" != long ] || still_card='no such line'
bad="$blocked_dma|$vtd_complaint|$still_card|$hung_task|$stuck_processor|$broken_kernel|$warning|$foul_ring|$mtrrs_off"
dmesg | grep -E "$bad" | while read -r line; do
	say "the kernel's log: $line"
done
! dmesg | grep -qE "$bad" || fail "the kernel's log: $(dmesg | grep -E "$bad" | head -n 1)"
