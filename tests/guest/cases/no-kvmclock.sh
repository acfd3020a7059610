# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux without the paravirtual clock, as other systems are: it measures its clocks by the ACPI timer.
run_guest no-kvmclock 'no-kvmclock viommu.test=boot,clock viommu.cpus=2' --cpus 2
check 'no-kvmclock: the guest powers off' "status $status" test "$status" = 0
check 'no-kvmclock: Linux learns the rate of its TSC' 'see the console' guest_passed boot clock
