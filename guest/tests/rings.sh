# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: the rings become smaller and larger while packets go both ways. Linux resets each queue for that.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1

# Entries of the ring in use, RX or TX.
entries()
{
	ethtool -g eth0 | sed -nE "s/^$1:[[:space:]]+//p" | tail -n 1
}

ping -q -i 0.01 -s 1400 "$host" >/dev/null &
load=$!
for size in 64 32 256 128; do
	ethtool -G eth0 rx "$size" tx "$size" || fail "ethtool -G refuses $size"
	expect 'receive ring' "$size" "$(entries RX)"
	expect 'transmit ring' "$size" "$(entries TX)"
	wait_for 10 "answer with rings of $size" ping -q -c 3 -i 0.2 -W 5 "$host" >/dev/null
done
kill "$load"
