# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Four queue pairs for four processors, behind a strict IOMMU; a device with several for a driver with one; and an
# error.
ip tuntap add viommu2 mode tap multi_queue
ip addr add 10.77.2.1/24 dev viommu2
ip link set viommu2 up
run_guest net-queues 'iommu.strict=1 viommu.test=net,queues viommu.seconds=2 viommu.ip=10.77.2.2 viommu.queues=4' \
	--cpus 4 --net tap=viommu2,queues=4,iommu=on
check 'net-queues: the guest powers off' "status $status" test "$status" = 0
check 'net-queues: four pairs, interrupts of each, ethtool -L' 'see the console' guest_passed net queues
check 'net-queues: no fault' "see the monitor's lines" no_fault
show_throughput

run_guest net-one-queue 'iommu.strict=1 viommu.test=net viommu.seconds=1 viommu.ip=10.77.2.2' \
	--cpus 1 --net tap=viommu2,iommu=on
check 'net-queues: one queue pair on a tap with multi_queue' 'see the console' guest_passed net
ip link delete viommu2
run_guest net-plain 'viommu.test=net viommu.ip=10.77.0.2' --net tap=viommu0,queues=2
command='ip link delete viommu0 && ip tuntap add dev viommu0 mode tap multi_queue'
check 'net-queues: a tap without multi_queue is refused, with the command that helps' "status $status" \
	said "queues=2 needs a tap with multi_queue: $command\$"
