# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: viommu.queues=N queue pairs, all of them at work, then fewer, then all again.
. ./lib.sh

queues=$(parameter queues)
host=$(parameter ip)
host=${host%.*}.1

# The number of channels in use.
channels()
{
	ethtool -l eth0 | sed -nE 's/^Combined:[[:space:]]+//p' | tail -n 1
}

# load SECONDS STREAMS OPTION...: with small buffers, or a slow machine is busy with what is in them long after the end.
load()
{
	duration=$1 streams=$2
	shift 2
	iperf3 -c "$host" -t "$duration" -P "$streams" -l 4K -w 32K "$@" >/run/iperf3 2>&1 ||
		fail "iperf3: $(tail -n 1 /run/iperf3)"
}

# Interrupts of a queue: "input.0" or "output.3".
interrupts()
{
	awk -v name="$1" '
		$NF ~ "^virtio[0-9]+-" name "$" { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i }
		END { print sum + 0 }' /proc/interrupts
}

expect 'queue pairs' "$queues" "$(ethtool -l eth0 | sed -nE 's/^Combined:[[:space:]]+//p' | head -n 1)"
expect 'queue pairs in use' "$queues" "$(channels)"
load 3 8
load 3 8 -R
index=0
while [ "$index" -lt "$queues" ]; do
	for direction in input output; do
		count=$(interrupts "$direction.$index")
		say "$direction.$index: $count interrupts"
		[ "$count" -gt 0 ] || fail "no interrupt of $direction.$index"
	done
	index=$((index + 1))
done
for count in 2 1 "$queues"; do
	ethtool -L eth0 combined "$count"
	expect 'queue pairs in use' "$count" "$(channels)"
	ping -q -c 5 -i 0.2 -W 5 "$host" | grep -q ' 0% packet loss' || fail "pings were lost with $count pairs"
	load 1 2
done
