# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Offloads, merged receive buffers, the MTU, filters and the card's address, behind a strict IOMMU; a file both ways.

# Prints the size of ten frames above the MTU that come from the guest.
watch_tap()
{
	exec python3 -c '
import socket
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind(("viommu0", 0))
found = 0
while found < 10:
    frame, source = tap.recvfrom(70000)
    if source[2] != socket.PACKET_OUTGOING and len(frame) > 1600:
        print(len(frame), flush=True)
        found += 1'
}

same_transfer()
{
	local hash
	hash=$(sha256sum <"$WORK/file" | cut -d ' ' -f 1)
	grep -q "^guest: sha256 transfer $hash" "$WORK/$name.console" && cmp -s "$WORK/file" "$WORK/file-back"
}

head -c 1000000 /dev/urandom >"$WORK/file"
busybox nc -l -p 7001 <"$WORK/file" &
servers=$!
[ -p "$WORK/hold" ] || mkfifo "$WORK/hold"
busybox nc -l -p 7002 <>"$WORK/hold" >"$WORK/file-back" &
servers="$servers $!"
ip neigh replace 10.77.0.99 lladdr 52:54:00:99:99:99 dev viommu0
ping -i 0.2 10.77.0.99 >/dev/null &
servers="$servers $!"
watch_tap >"$WORK/large" &
servers="$servers $!"
run_guest net-offloads 'iommu.strict=1 viommu.test=net,offloads,transfer,filter viommu.ip=10.77.0.2' \
	--net tap=viommu0,iommu=on
# shellcheck disable=SC2086
kill $servers 2>/dev/null
check 'net-offloads: the guest powers off' "status $status" test "$status" = 0
check 'net-offloads: ping and iperf3 both ways' 'see the console' guest_passed net
check 'net-offloads: negotiated, frames above the MTU, switched off and on' 'see the console' guest_passed offloads
check 'net-offloads: the tap takes frames above the MTU' 'it has seen too few' test "$(wc -l <"$WORK/large")" = 10
check 'net-offloads: a file both ways' 'see the console' same_transfer
check 'net-offloads: filters, promiscuous mode, another address' 'see the console' guest_passed filter
check 'net-offloads: no fault' "see the monitor's lines" no_fault
show_throughput
