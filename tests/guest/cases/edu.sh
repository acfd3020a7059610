# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A device whose DMA is aimed by hand: allowed, denied after unmap, by direction, where never mapped, and never
# attached. The guest's test looks at memory and at its kernel log; here we look at the monitor's lines. The guest's
# requests are polled, so that it notifies nobody.
run_guest edu 'iommu.strict=1 viommu.test=edu' --iommu virtio,poll=always --test-device edu,iommu=on
check 'edu: the guest powers off' "status $status" test "$status" = 0
check 'edu: allowed, then denied four ways, memory intact, each in the kernel log' 'see the console' guest_passed edu
check 'edu: its log tells of a write to what was never mapped' 'no line' \
	guest_log_has "$(blocked_dma_of 00:02.0 write 0x12345000)"
fault='^viommu: fault: 0000:00:02\.0'
check 'edu: the monitor tells of a device that was never attached' 'no line' \
	said "$fault write 0x[0-9a-f]+: not attached \(no domain\)"
check 'edu: the monitor tells of a write after unmap' 'no line' \
	said "$fault write 0x10000000: not mapped \(domain [0-9]+\)"
check 'edu: the monitor tells of a read after unmap' 'no line' \
	said "$fault read 0x10000000: not mapped \(domain [0-9]+\)"
check 'edu: the monitor tells of a write to a read-only mapping' 'no line' \
	said "$fault write 0x10000000: no permission \(domain [0-9]+\)"
check 'edu: the monitor tells of a write to what was never mapped' 'no line' \
	said "$fault write 0x12345000: not mapped \(domain [0-9]+\)"

# Without an IOMMU the same device reaches everything: the tests above can fail.
run_guest edu-open 'viommu.test=edu-open' --test-device edu
check 'edu: without iommu=on the same DMA reaches memory' 'see the console' guest_passed edu-open
