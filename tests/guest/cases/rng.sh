# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The entropy device, behind the IOMMU and past it.
run_guest rng-iommu 'iommu.strict=1 viommu.test=boot,rng viommu.groups=00:02.0' --rng iommu=on
check 'rng: behind the IOMMU' "status $status" guest_passed boot rng
check 'rng: no fault' "see the monitor's lines" no_fault
run_guest rng 'viommu.test=boot,rng viommu.groups=none' --rng --no-reboot
check 'rng: without an argument' "status $status" guest_passed boot rng
