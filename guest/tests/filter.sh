# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test, while the host sends frames to an address that nobody has: they reach the driver in promiscuous
# mode only. Then another address of our own, which the host finds.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1

received()
{
	cat /sys/class/net/eth0/statistics/rx_packets
}

# Frames that come in three seconds.
count()
{
	before=$(received)
	sleep 3
	echo $(($(received) - before))
}

few=$(count)
ip link set eth0 promisc on
many=$(count)
ip link set eth0 promisc off
again=$(count)
say "frames for others: $few, promiscuous $many, then $again"
if [ "$few" -gt 3 ] || [ "$again" -gt 3 ] || [ "$many" -lt 6 ]; then
	fail 'the filter does not work'
fi
ip link set eth0 address 52:54:00:0a:0b:0c
ping -q -c 3 -W 5 "$host" | grep -q ' 0% packet loss' || fail 'no answer to the new address'
