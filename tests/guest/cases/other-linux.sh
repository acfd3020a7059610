# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the cases with the kernel of another Debian suite share: a working guest, strict, with two disks, a network card
# and an edu device, which is caught where it may not go. A case sets $suite, by which tests/guest/run fetches the
# kernel. Debian's 5.10 and 6.1 have no driver of virtio-iommu.
. "$here/cases/common.sh"

# The console has no warning that says anything, the power-off included.
no_warning()
{
	! grep -aE "$warning" "$WORK/$name.console" | grep -vE "$stopped_cpu"
}

# other_linux CASE CMDLINE TESTS OPTION...
other_linux()
{
	local case=$1 cmdline=$2 more_tests=$3,strict,log,wild attacker=00:05.0
	kernel=$kernels/kernel-$suite/vmlinuz image=$BUILD/guest/image-$suite.cpio
	shift 3
	if [ ! -e "$kernel" ]; then
		echo "skip $kind: $case: $(tail -n 1 "$kernels/kernel-$suite.why")"
		exit
	fi
	cmdline="loglevel=5 iomem=relaxed viommu.seconds=1 viommu.groups=00:02.0,00:03.0,00:04.0,00:05.0 $cmdline"
	working_guest "$case" "$cmdline" 2 --test-device edu,iommu=on "$@"
	check "$case: strict" 'see the console' guest_passed strict
	check "$case: nothing bad in the kernel's log" 'see the console' guest_passed log
	check "$case: a DMA to where nothing is mapped is blocked, and in the kernel's log" 'see the console' \
		guest_passed wild
	check "$case: the kernel's line about it is known" 'no line' \
		guest_log_has "$(blocked_dma_of 00:05.0 write 0x12345000)"
	check "$case: no warning up to the power-off" 'see the console' no_warning
}

# vtd_linux CASE CMDLINE: behind VT-d, with all that the kernel says of it
vtd_linux()
{
	other_linux "$1" "$2 viommu.ir=x2apic viommu.domain=DMA viommu.levels=4 viommu.scalable=off viommu.ats=none" \
		,vtd --iommu intel
	check "$1: remapping as the kernel says, no DMAR fault" 'see the console' guest_passed vtd
}
