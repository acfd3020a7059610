# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: traffic in both directions until the host says that it has seen enough (a connection to port 7010
# of the guest), viommu.load=N seconds at most. The connections live all the time, whatever becomes of the card's back
# end.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1
limit=$(parameter load)
limit=${limit:-60}
iperf3 -c "$host" --bidir -l 16K -i 0 -t "$limit" >/run/load 2>&1 &
load=$!
say 'load: under way'
timeout "$limit" nc -l -p 7010 </dev/null >/run/word || fail "the host had no word in $limit seconds"
kill -0 "$load" 2>/dev/null || fail "iperf3 ended early: $(tail -n 1 /run/load)"
kill "$load"
wait "$load" || :
ping -q -c 5 -i 0.2 -W 5 "$host" | grep -q ' 0% packet loss' || fail "pings to $host were lost in the end"
