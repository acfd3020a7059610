# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The network card's interrupts go from CPU to CPU while disk and network are busy (viommu.seconds=N, viommu.ip=):
# nothing is lost, and afterwards each CPU gets them that is asked for. The disk's are Linux's own to place.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1

irqs()
{
	awk '/virtio[0-9]+-(input|output)/ { sub(":", "", $1); print $1 }' /proc/interrupts
}

# count IRQ CPU
count()
{
	awk -v irq="$1:" -v column=$(($2 + 2)) '$1 == irq { print $column }' /proc/interrupts
}

move_all()
{
	for irq in $(irqs); do
		echo "$1" >"/proc/irq/$irq/smp_affinity_list" || fail "interrupt $irq cannot go to CPU $1"
	done
}

disk_load()
{
	while [ ! -e /run/enough ]; do
		dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum
	done >/run/hashes
}

network_load()
{
	iperf3 -c "$host" -t "$seconds" >/run/iperf3 2>&1 && iperf3 -c "$host" -t "$seconds" -R >>/run/iperf3 2>&1 ||
		echo "$?" >/run/iperf3-failed
	: >/run/enough
}

seconds=$(parameter seconds)
cpus=$(nproc)
moves=0
rm -f /run/enough
disk_load &
network_load &
while [ ! -e /run/enough ]; do
	move_all $((moves % cpus))
	moves=$((moves + 1))
done
wait
[ ! -e /run/iperf3-failed ] || fail "iperf3: $(tail -n 1 /run/iperf3)"
[ "$moves" -ge 20 ] || fail "only $moves moves"
expect 'different contents read from the disk' 1 "$(sort -u /run/hashes | wc -l)"
say "$moves moves of all interrupts, the disk read $(wc -l </run/hashes) times"

input=$(irqs | head -n 1)
cpu=0
while [ "$cpu" -lt "$cpus" ]; do
	move_all "$cpu"
	ping -q -c 2 -W 5 "$host" >/dev/null || fail "no answer to pings on CPU $cpu"
	before=$(count "$input" "$cpu")
	ping -q -c 5 -i 0.2 -W 5 "$host" | grep -q ' 0% packet loss' || fail "pings were lost on CPU $cpu"
	[ "$(count "$input" "$cpu")" -gt "$before" ] || fail "CPU $cpu got no interrupt $input"
	say "CPU $cpu got $(($(count "$input" "$cpu") - before)) of interrupt $input"
	cpu=$((cpu + 1))
done
