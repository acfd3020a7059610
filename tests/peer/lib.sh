# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the tests with peers share, beside tests/guest/lib.sh: the peers, their life and death, and what a guest does
# with them.

if [ "${FULL:-0}" = 1 ]; then
	full=1 seconds=60 kills=20
	GUEST_SECONDS=900
else
	full='' seconds=10 kills=2
	GUEST_SECONDS=300
fi
backend=$BUILD/net-backend/viommu-net-backend
peer='' peer_descriptors=0

# wants WAY: a guest's IOMMU and mode. All, but for those that $WAYS leaves out.
wants()
{
	[[ " ${WAYS:-$1} " == *" $1 "* ]]
}

# until_true SECONDS COMMAND...
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

gone()
{
	! kill -0 "$peer" 2>/dev/null
}

# The descriptors of a process, as a number
descriptors()
{
	find "/proc/$1/fd" -type l 2>/dev/null | wc -l
}

# Its anonymous memory in KiB
anonymous()
{
	awk '/^RssAnon:/ { print $2 }' "/proc/$1/status"
}

as_many_descriptors()
{
	[ "$(descriptors "$1")" = "$2" ]
}

# Ends what $peer is. A poll loop may take a while to hear of it.
stop_peer()
{
	[ -n "$peer" ] || return 0
	kill "$peer" 2>/dev/null
	until_true 10 gone || kill -KILL "$peer"
	wait "$peer" 2>/dev/null
	peer=
}

# Our back end, where no guest runs: start_backend SOCKET TAP. What a killed one has left at SOCKET is its own business.
start_backend()
{
	taskset -c 0 "$backend" --socket "$1" --tap "$2" </dev/null >>"$WORK/backend.log" 2>&1 &
	peer=$!
	disown # or the shell tells of every kill
	until_true 10 listening "$1" && peer_descriptors=$(descriptors "$peer")
}

# Does somebody listen at this socket? A connection would count as a front end, so /proc says it.
listening()
{
	awk -v path="$1" '$8 == path && $4 ~ /1....$/ { found = 1 } END { exit !found }' /proc/net/unix
}

# Of DPDK's drivers those that are needed and those that testpmd is linked with: it loads all that there are, which
# takes the lab long.
few_drivers()
{
	local all few=$WORK/drivers
	all=$(echo /usr/lib/*/dpdk/pmds-*)
	mkdir -p "$few"
	[ -z "$(ls "$few")" ] || return 0
	# shellcheck disable=SC2046
	cp -d "$all"/librte_{net_vhost,net_tap,mempool_ring,bus_vdev}.so.* \
		$(ldd "$(command -v dpdk-testpmd)" | sed -nE 's|.* (/.*/pmds-[^ ]*) .*|\1*|p') "$few" 2>/dev/null
	mount --bind "$few" "$all"
}

# DPDK's: start_dpdk SOCKET TAP ADDRESS. It polls on the processor that runs no guests. Frames go between the socket and
# a tap of its own. It offers a frame again that the guest's side could not take, for 200 ms: where a translation is
# missed DPDK takes none, and it leaves the monitor little of that processor to answer. It wants no socket of one that
# was killed. Locked memory would mean that it reads all of the guest's before it answers.
start_dpdk()
{
	few_drivers
	rm -f "$1"
	printf 'set burst tx delay 50 retry 4000\nset fwd io retry\n' >"$WORK/testpmd"
	dpdk-testpmd --no-huge --no-pci -m 256 --file-prefix "$2" --lcores 0@0,1@0 \
		--vdev "net_vhost0,iface=$1,iommu-support=1,client=0" --vdev "net_tap0,iface=$2,mac=fixed" -- \
		--no-mlockall --cmdline-file "$WORK/testpmd" --total-num-mbufs 8192 --nb-cores 1 \
		< <(sleep infinity) >"$WORK/dpdk.log" 2>&1 &
	peer=$!
	disown
	until_true 60 listening "$1" && until_true 30 ip link set "$2" up 2>/dev/null && ip addr add "$3/24" dev "$2"
}

read -ra qemu <<<"$("$repo/scripts/fetch-qemu" "$repo/build/qemu")"

# How QEMU is told to connect again after a second, which changed its name.
reconnect()
{
	local version
	version=$("${qemu[@]}" --version | sed -nE '1s/.*version ([0-9.]+).*/\1/p')
	if dpkg --compare-versions "$version" ge 9.2; then
		echo reconnect-ms=1000
	else
		echo reconnect=1
	fi
}

# run_qemu NAME CMDLINE SOCKET: a guest under QEMU, whose card is behind VT-d with device TLBs and served at SOCKET. Its
# memory is in large pages: in small ones the lab's processor often loops (docs/HACKING.md).
run_qemu()
{
	name=$1
	echo 320 >/proc/sys/vm/nr_hugepages
	watch_guest "${qemu[@]}" -machine q35,kernel-irqchip=split,memory-backend=ram -m 512 \
		-object memory-backend-memfd,id=ram,size=512M,share=on,hugetlb=on,hugetlbsize=2M,prealloc=on \
		-enable-kvm -cpu host -nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-device intel-iommu,intremap=on,device-iotlb=on -chardev "socket,id=peer,path=$3,$(reconnect)" \
		-netdev vhost-user,id=net,chardev=peer \
		-device virtio-net-pci,netdev=net,disable-legacy=on,iommu_platform=on,ats=on,romfile= \
		-kernel "$kernel" -initrd "$image" -append "console=ttyS0 panic=-1 quiet intel_iommu=on $2"
	echo 0 >/proc/sys/vm/nr_hugepages
}

# Frames that the host's side of a tap has seen from the guest and to it
frames()
{
	cat "/sys/class/net/$1/statistics/rx_packets" "/sys/class/net/$1/statistics/tx_packets"
}

# moving TAP FROM TO: more frames than then, both ways? A hundred are more than probes of connections that stand still.
moving()
{
	local now
	mapfile -t now < <(frames "$1")
	((now[0] > $2 + 100 && now[1] > $3 + 100))
}

said_guest()
{
	grep -q "^guest: $1" "$WORK/$name.console" 2>/dev/null
}

# kill_peer TAP ADDRESS COMMAND...: while the guest's load test runs at ADDRESS, ends the back end with SIGKILL and
# starts it again with COMMAND, $kills times. Each time the same connections have to go on both ways. At last the guest
# gets its word. What went wrong is in $WORK/kills, the last back end in $WORK/peer, what the monitor holds before and
# after in $WORK/held, its counters in $WORK/stats.
kill_peer()
{
	local round before monitor tap=$1 address=$2
	shift 2
	rm -f "$WORK/killed"
	: >"$WORK/kills"
	until_true "$GUEST_SECONDS" said_guest 'load: under way' || return
	monitor=$(cat "$WORK/$name.pid")
	echo "$(descriptors "$monitor") $(anonymous "$monitor")" >"$WORK/held"
	for ((round = 1; round <= kills; round++)); do
		mapfile -t before < <(frames "$tap")
		until_true 60 moving "$tap" "${before[@]}" ||
			{ echo "round $round: no traffic before the kill"; break; }
		kill -KILL "$peer"
		until_true 10 gone || { echo "round $round: it cannot be killed"; break; }
		"$@" || { echo "round $round: it does not start again"; break; }
		mapfile -t before < <(frames "$tap")
		until_true 60 moving "$tap" "${before[@]}" ||
			{ echo "round $round: no traffic after the kill"; break; }
		echo "$round" >"$WORK/killed"
	done >"$WORK/kills"
	echo "$peer" >"$WORK/peer"
	[ ! -S "$WORK/$name.control" ] || "$viommu" ctl "$WORK/$name.control" stats --json >"$WORK/stats"
	until_true 5 as_many_descriptors "$monitor" "$(cut -d ' ' -f 1 "$WORK/held")"
	echo "$(descriptors "$monitor") $(anonymous "$monitor")" >>"$WORK/held"
	until_true 30 busybox nc -w 5 "$address" 7010 </dev/null >/dev/null 2>&1
}

# watch_stats CONTROL: the monitor's counters, as they were a moment before its end, in $WORK/last-stats.
watch_stats()
{
	rm -f "$WORK/last-stats"
	until_true 60 test -S "$1" || return
	while "$viommu" ctl "$1" stats --json >"$WORK/now-stats" 2>/dev/null; do
		mv "$WORK/now-stats" "$WORK/last-stats"
		sleep 2
	done
}

# For people: what the device IOTLB was asked and told.
show_stats()
{
	local count='([0-9]+)' line
	line="\"path\": \"([^\"]*)\", \"misses\": $count, \"updates\": $count, \"invalidations\": $count"
	sed -nE "s/.*$line.*/# $1: \1: \2 misses, \3 updates, \4 invalidations/p" "$WORK/last-stats" 2>/dev/null
}

# The results of a guest that ran "net,round-trips,...,remove,log"
check_traffic()
{
	local case=$1
	check "$case: the guest powers off" "status $status" test "$status" = 0
	check "$case: ping and iperf3 both ways" 'see the console' guest_passed net
	check "$case: round trips by TCP" 'see the console' guest_passed round-trips
	check "$case: the driver lets go of the card" 'see the console' guest_passed remove
	check "$case: no fault, stall or warning in the guest's log" 'see the console' guest_passed log
	show_throughput
}

# check_kills CASE PID: what kill_peer had to say, which ran as PID.
check_kills()
{
	local well
	wait "$2"
	peer=$(cat "$WORK/peer" 2>/dev/null || echo "$peer")
	well=$(cat "$WORK/killed" 2>/dev/null || echo 0)
	check "$1: the back end is killed and started $kills times, and traffic goes on" \
		"$(cat "$WORK/kills"), $well times well" test "$well" = "$kills"
	check "$1: the guest's connections lived through it" 'see the console' guest_passed load
}

# The monitor holds no more after the kills than before them; an allocator may keep some of what it once had.
check_held()
{
	check "$1: the monitor has no more descriptors than before the kills, and no more memory" \
		"descriptors and KiB, before and after: $(tr '\n' ' ' <"$WORK/held")" \
		awk '{ fds[NR] = $1; kib[NR] = $2 }
			END { exit !(NR == 2 && fds[2] <= fds[1] && kib[2] <= kib[1] + 2048) }' "$WORK/held"
}

# Does the back end still hold a guest's memory, as a descriptor or mapped?
holds_memory()
{
	grep -qE 'memfd:|anon_hugepage' "/proc/$peer/maps" || find "/proc/$peer/fd" -lname '*memfd:*' | grep -q .
}

let_go()
{
	! holds_memory
}

# The back end is alive after its guest, and has nothing of it left.
check_backend()
{
	local complaints
	complaints=$(grep -iE 'error|fault|refuse|sanitizer' "$WORK/backend.log" | tail -n 3)
	check "$1: the back end lives on" "$(tail -n 3 "$WORK/backend.log")" kill -0 "$peer"
	check "$1: the back end has let go of the guest's memory" "$(ls -l "/proc/$peer/fd")" until_true 10 let_go
	check "$1: the back end has as many descriptors as before its guest" "$(ls -l "/proc/$peer/fd")" \
		until_true 10 as_many_descriptors "$peer" "$peer_descriptors"
	check "$1: the back end has nothing to complain of" "$complaints" test -z "$complaints"
	rm -f "$WORK/backend.log"
}
