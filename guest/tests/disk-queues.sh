# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# A disk with viommu.queues=N queues: all of them are there, each with an interrupt, and all of them are used at the
# same time, by a writer and a reader bound to each processor. Every processor has a MiB of its own.
. ./lib.sh

name=$(basename "$(echo /dev/vd?)")
queues=$(parameter queues)
expect 'queues of the disk' "$queues" "$(find "/sys/block/$name/mq" -mindepth 1 -maxdepth 1 | wc -l)"

# interrupts QUEUE: how many there were
interrupts()
{
	awk -v "name=req.$1" '
		$NF ~ name "$" { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i }
		END { print sum + 0 }' /proc/interrupts
}

work()
{
	dd if="/run/part-$1" of="/dev/$name" bs=16k seek=$(($1 * 64)) oflag=direct conv=notrunc 2>/dev/null || return 1
	dd if="/dev/$name" bs=16k skip=$(($1 * 64)) count=64 iflag=direct 2>/dev/null | cmp - "/run/part-$1"
}

cpu=0
while [ $cpu -lt "$(nproc)" ]; do
	head -c 1048576 /dev/urandom >/run/part-$cpu
	interrupts $cpu >/run/before-$cpu
	(sleep 1; work $cpu && : >/run/done-$cpu) &
	taskset -p "$(printf %x $((1 << cpu)))" $! >/dev/null
	cpu=$((cpu + 1))
done
wait
while [ $cpu -gt 0 ]; do
	cpu=$((cpu - 1))
	[ -e /run/done-$cpu ] || fail "processor $cpu has read something else than it wrote"
	[ $cpu -ge "$queues" ] || [ "$(interrupts $cpu)" -gt "$(cat /run/before-$cpu)" ] ||
		fail "queue $cpu is not used"
done
cat /run/part-* >/run/parts
say "sha256 raw-4194304 $(sha256sum </run/parts | cut -d ' ' -f 1)"
