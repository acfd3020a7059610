# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# For scripts/bench-net: eth0 at viommu.ip=A, with the host at .1 of the same /24. TCP in writes of 64 KiB to the host
# and from it, in Mbit/s, and round trips of a byte a second; viommu.seconds=N each.
. ./lib.sh

seconds=$(parameter seconds)
address=$(parameter ip)
host=${address%.*}.1

# throughput METRIC OPTION...
throughput()
{
	metric=$1
	shift
	iperf3 -c "$host" -t "$seconds" -l 64K -f k "$@" >/run/iperf3 2>&1 || fail "iperf3: $(tail -n 1 /run/iperf3)"
	rate=$(awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Kbits/sec") print $(i - 1) / 1000 }' /run/iperf3)
	say "$metric $rate"
}

wait_for 10 eth0 test -e /sys/class/net/eth0
ip addr add "$address/24" dev eth0
ip link set eth0 up
wait_for 20 "answer from $host" ping -q -c 1 -W 1 "$host"
throughput send-64K
throughput receive-64K -R
qperf -t "$seconds" -to 20 -uu "$host" tcp_lat >/run/qperf 2>&1 || fail "qperf: $(tail -n 1 /run/qperf)"
say "round-trips $(awk '$1 == "latency" && $3 > 0 { printf "%.1f", 1e9 / $3 / 2 }' /run/qperf)"
