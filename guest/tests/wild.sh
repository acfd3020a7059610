# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The edu device through VFIO: what is mapped it reaches, what never was it does not, and the kernel's log says so.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'
bind_vfio "$edu"
edu-vfio "$edu" allowed || fail "edu-vfio allowed ended with status $?"
before=$(faults)
edu-vfio "$edu" wild || fail "edu-vfio wild ended with status $?"
expect_fault "$before" "$(blocked_dma_of "${edu#0000:}" write 0x12345000)"
