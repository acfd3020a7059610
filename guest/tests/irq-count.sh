# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# 4096 reads from the disk, one after the other, past the page cache; how many interrupts of the disk there were.
. ./lib.sh

count()
{
	awk '
		/virtio[0-9]+-req/ { for (i = 2; i <= cpus + 1; i++) sum += $i }
		END { print sum }' cpus="$(nproc)" /proc/interrupts
}

before=$(count)
dd if=/dev/vda of=/dev/null bs=4k count=4096 iflag=direct 2>/dev/null
say "reads: $(($(count) - before)) interrupts"
