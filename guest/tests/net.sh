# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The n-th address of viommu.ip=A,B,... goes to the n-th interface, with the host at .1 of the same /24: ping, then
# iperf3 with a server there, in both directions (viommu.seconds=N each, default 3; 0 leaves iperf3 out).
# viommu.write=SIZE: that much in a write, and on its way at most, for cards so slow that they are busy with what is in
# large buffers long after the end.
. ./lib.sh

seconds=$(parameter seconds)
seconds=${seconds:-3}
write=$(parameter write)

# throughput DIRECTION HOST OPTION...
throughput()
{
	direction=$1 host=$2
	shift 2
	iperf3 -c "$host" -t "$seconds" -f m ${write:+-l "$write" -w "$write"} "$@" >/run/iperf3 2>&1 ||
		fail "iperf3: $(grep error /run/iperf3 || tail -n 1 /run/iperf3)"
	rate=$(awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") print $(i - 1) }' /run/iperf3)
	say "$interface $direction $rate Mbit/s"
}

addresses=$(parameter ip)
[ -n "$addresses" ] || fail 'no viommu.ip= on the kernel command line'
index=0
for address in $(echo "$addresses" | tr , ' '); do
	interface=eth$index
	host=${address%.*}.1
	wait_for 10 "$interface" test -e "/sys/class/net/$interface"
	ip addr add "$address/24" dev "$interface"
	ip link set "$interface" up
	wait_for 10 "answer from $host" ping -q -c 1 -W 1 "$host"
	ping -q -c 5 -i 0.2 -W 5 "$host" | grep -q ' 0% packet loss' || fail "pings to $host were lost"
	say "$interface reaches $host"
	if [ "$seconds" -gt 0 ]; then
		throughput sends "$host"
		throughput receives "$host" -R
	fi
	index=$((index + 1))
done
