# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What most cases do: a guest with two disks and a network card that works on all of them. $keys of the first disk and
# the card, $raw_keys of the other disk: behind the IOMMU, unless a case says otherwise; $more_tests come last in the
# guest. An $attacker is the device that such a test lets reach for memory that it was not given.
working_guest()
{
	local case=$1 cmdline=$2 cpus=$3
	shift 3
	make_ext4 "$WORK/disk"
	truncate -s 8M "$WORK/raw"
	run_guest "$case" "viommu.test=boot,disk,net${more_tests:-} viommu.cpus=$cpus viommu.ip=10.77.0.2 $cmdline" \
		--cpus "$cpus" --disk "path=$WORK/disk${keys-,iommu=on}" --disk "path=$WORK/raw${raw_keys-,iommu=on}" \
		--net "tap=viommu0${keys-,iommu=on}" --no-reboot "$@"
	check "$case: the guest powers off" "status $status" test "$status" = 0
	check "$case: processors and IOMMU groups" "see the console" guest_passed boot
	check "$case: the disk works" "see the console" guest_passed disk
	check "$case: the host reads what the guest wrote, files" "checksums differ" same_files "$WORK/disk"
	check "$case: the host reads what the guest wrote, raw" "checksums differ" same_raw "$WORK/raw"
	check "$case: ping and iperf3 both ways" "see the console" guest_passed net
	check "$case: no fault" "see the monitor's lines" no_fault "${attacker:-}"
	show_throughput
}
