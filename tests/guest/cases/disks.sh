# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What --disk can do: a disk that is only read, several queues at work at the same time, and a disk that somebody else
# has.
printf viommu >"$WORK/readonly"
truncate -s 1M "$WORK/readonly"
chmod 444 "$WORK/readonly"
before=$(sha256sum <"$WORK/readonly")
run_guest readonly 'iommu.strict=1 viommu.test=readonly' --disk "path=$WORK/readonly,readonly=on,iommu=on"
check 'disks: a disk that is only read' "status $status" guest_passed readonly
check 'disks: nothing has written to it' 'checksums differ' test "$before" = "$(sha256sum <"$WORK/readonly")"

truncate -s 4M "$WORK/raw"
run_guest queues 'iommu.strict=1 viommu.test=disk-queues viommu.queues=4' --cpus 4 --disk "path=$WORK/raw,iommu=on"
check 'disks: four queues, each used by a processor' "status $status" guest_passed disk-queues
check 'disks: the host reads what all of them wrote' 'checksums differ' same_raw "$WORK/raw"
check 'disks: no fault' "see the monitor's lines" no_fault
run_guest queues-2 'viommu.test=disk-queues viommu.queues=2' --cpus 4 --disk "path=$WORK/raw,queues=2"
check 'disks: two queues for four processors' "status $status" guest_passed disk-queues
