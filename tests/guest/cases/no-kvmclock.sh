# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux without the paravirtual clock, as other systems are, with the rate of the TSC that CPUID has for those that ask.
# On hardware it measures the rate by the ACPI timer; here a read takes longer than it accepts for that (50 us at
# 2.6 GHz).
rate=$("$viommu" run --kernel "$BUILD/guest/payloads/processor" </dev/null 2>/dev/null |
	sed -nE 's/^# CPUID: the TSC has ([0-9]+) kHz.*/\1/p')
run_guest no-kvmclock "no-kvmclock tsc_early_khz=$rate viommu.test=boot,clock viommu.cpus=2" --cpus 2
check 'no-kvmclock: the guest powers off' "status $status" test "$status" = 0
check 'no-kvmclock: Linux has the ACPI timer, and a TSC of known rate' 'see the console' guest_passed boot clock
