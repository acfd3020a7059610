# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Two queue pairs in the kernel's hands, of which the guest uses both, then one, then both.
modprobe vhost_net
ip tuntap add peer2 mode tap multi_queue
ip addr add 10.78.2.1/24 dev peer2
ip link set peer2 up
run_guest vhost-net-queues "intel_iommu=on iommu.strict=1 viommu.test=net,queues,log viommu.seconds=$seconds
	viommu.write=32K viommu.ip=10.78.2.2 viommu.queues=2" --cpus 2 --iommu intel,device-iotlb=on --no-reboot \
	--net tap=peer2,queues=2,vhost=on,iommu=on,ats=on
ip link delete peer2
check 'vhost-net-queues: the guest powers off' "status $status" test "$status" = 0
check 'vhost-net-queues: ping and iperf3 both ways' 'see the console' guest_passed net
check 'vhost-net-queues: two pairs, interrupts of each, ethtool -L' 'see the console' guest_passed queues
check "vhost-net-queues: no fault, stall or warning in the guest's log" 'see the console' guest_passed log
check 'vhost-net-queues: the monitor reports no fault' "see the monitor's lines" no_fault
show_throughput
