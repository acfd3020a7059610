# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The last test: the kernel has logged no fault, no card that stands still, no stuck processor and no mistake of its own.
# viommu.outages=long: the back end was away for more than the five seconds that Linux lets a card stand still.
. ./lib.sh

still='NETDEV WATCHDOG|transmit queue .* timed out'
[ "$(parameter outages)" != long ] || still='no such line'
bad="$fault_line|DMAR: .*(timeout|Invalidation)|$still|detected stalls|soft lockup|hung_task|blocked for more than|BUG:|WARNING:|Oops|virtio.*(is not a head|bad|broken|id .* out of range)"
dmesg | grep -E "$bad" | while read -r line; do
	say "the kernel's log: $line"
done
! dmesg | grep -qE "$bad" || fail "the kernel's log: $(dmesg | grep -E "$bad" | head -n 1)"
