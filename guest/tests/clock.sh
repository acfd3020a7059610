# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The kernel's clock is none of the hypervisor's, and it knows how fast the TSC is.
. ./lib.sh

clocks=/sys/devices/system/clocksource/clocksource0
say "clocks: $(cat $clocks/available_clocksource), current: $(cat $clocks/current_clocksource)"
! grep -q kvm-clock $clocks/available_clocksource || fail 'there is a clock of the hypervisor'
grep -q acpi_pm $clocks/available_clocksource || fail 'there is no ACPI timer'
dmesg | grep -qE 'tsc: Detected [0-9.]+ MHz' || fail "the TSC's rate is not known"
