# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: one byte to the qperf at the host and back by TCP, again and again for viommu.seconds, on each
# interface.
. ./lib.sh

seconds=$(parameter seconds)
seconds=${seconds:-3}
index=0
for address in $(parameter ip | tr , ' '); do
	# What qperf calls the latency is that of one way.
	qperf -t "$seconds" -to 20 -uu "${address%.*}.1" tcp_lat >/run/qperf 2>&1 ||
		fail "qperf: $(tail -n 1 /run/qperf)"
	rate=$(awk '$1 == "latency" && $4 == "ns" && $3 > 0 { printf "%d", 1e9 / $3 / 2 }' /run/qperf)
	[ -n "$rate" ] || fail "qperf: no latency: $(cat /run/qperf)"
	say "eth$index round trips $rate per second"
	index=$((index + 1))
done
