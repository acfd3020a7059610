# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# With viommu.driver=off nothing has ever attached the edu device to a domain. Nobody in the guest can report the fault;
# the monitor's own log does.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'
[ ! -e "/sys/bus/pci/devices/$edu/iommu_group" ] || fail 'the IOMMU driver is there: use viommu.driver=off'
edu-devmem "$edu" || fail "edu-devmem ended with status $?"
