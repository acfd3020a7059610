# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Guest memory in a file, and in huge pages without and with a file.
truncate -s 8M "$WORK/raw"

has_kernel()
{
	[ "$(stat -c '%a %s' "$1")" = '600 268435456' ] && grep -qa 'Linux version [0-9]' "$1"
}

free_hugepages()
{
	cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
}

# The pool of huge pages; sysctl(8) is not on every machine.
set_pool()
{
	echo "$1" >/proc/sys/vm/nr_hugepages
}

run_guest memory-file 'viommu.test=boot' --memory "size=256M,file=$WORK/ram"
check 'memory: a guest whose memory is a file' "status $status" guest_passed boot
check 'memory: the file has what the guest wrote' 'see its mode, size and content' has_kernel "$WORK/ram"
rm -f "$WORK/ram"

# The pool is too small first, and the error says what helps.
set_pool 10
run_guest memory-few 'viommu.test=boot' --memory size=256M,hugepages=on
advice=$(sed -nE 's/.* 118 of 128 huge pages of 2M are missing; as root: sysctl (vm.nr_hugepages=[0-9]+)$/\1/p' \
	"$WORK/memory-few.stderr")
check 'memory: too few huge pages' "status $status: $(cat "$WORK/memory-few.stderr")" \
	test "$status$advice" = 2vm.nr_hugepages=128
advice=${advice:-vm.nr_hugepages=128}
set_pool "${advice#vm.nr_hugepages=}"

while sleep 0.5; do free_hugepages; done >"$WORK/free" &
sampler=$!
run_guest memory-huge 'iommu.strict=1 viommu.test=boot' --memory size=256M,hugepages=on --disk "path=$WORK/raw,iommu=on"
kill "$sampler"
wait "$sampler" 2>/dev/null
check 'memory: a guest in huge pages' "status $status" guest_passed boot
check 'memory: all of them were taken' 'some stayed free' grep -qx 0 "$WORK/free"
check 'memory: and given back' 'some are not' test "$(free_hugepages)" = 128

mkdir "$WORK/huge"
mount -t hugetlbfs -o pagesize=2M none "$WORK/huge"
run_guest memory-huge-file 'viommu.test=boot' --memory "size=256M,hugepages=on,file=$WORK/huge/ram"
check 'memory: a guest in a file on hugetlbfs' "status $status" guest_passed boot
check 'memory: the file holds the huge pages' 'it does not' test "$(free_hugepages)" = 0
rm -f "$WORK/huge/ram"
umount "$WORK/huge"
set_pool 0
