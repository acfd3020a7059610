# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# For scripts/bench-guest: viommu.modes=strict,lazy,... has a card for each, and maybe a disk, in that order of their
# PCI slots, whose group becomes of that kind; viommu.ip=A,B,... are the cards' addresses, with the host at .1 of the
# same /24; TCP makes a frame of viommu.segments=N segments. Does what it is told on the console, a line each; INDEX is
# that of the mode:
#   load METRIC INDEX WARM MILLISECONDS  runs the program load (which waits for lines in between)
#   trace METRIC INDEX MILLISECONDS      such a warm-up alone, and counts calls of the kernel's functions meanwhile,
#                                        "trace: NAME COUNT", and how long invalidations took, in us,
#                                        "latency: MEDIAN P99"
#   tool METRIC INDEX SECONDS            with iperf3 or qperf in the place of load: "tool: VALUE", in Mbit/s or 1/s
# and answers with "done: STATUS" in the end.
. ./lib.sh

tracing=/sys/kernel/tracing
at_call='hist:keys=common_pid:begin=common_timestamp.usecs'
# These variables are the kernel's.
# shellcheck disable=SC2016
at_return='hist:keys=common_pid:us=common_timestamp.usecs-$begin:onmatch(bench.invalidations).bench_latency($us)'
histogram='hist:keys=us:size=8192'
port=7411
red_hat=0x1af4 card=0x1041 disk=0x1042

# item INDEX WORD...
item()
{
	shift "$(($1 + 1))"
	echo "$1"
}

address_of()
{
	# shellcheck disable=SC2046
	item "$1" $(parameter ip | tr , ' ')
}

mode_of()
{
	# shellcheck disable=SC2046
	item "$1" $(parameter modes | tr , ' ')
}

host_of()
{
	address=$(address_of "$1")
	echo "${address%.*}.1"
}

# function_of DEVICE INDEX: the INDEX-th PCI function of that kind
function_of()
{
	find_devices $red_hat "$1" | sed -n "$(($2 + 1))p"
}

# name_of DEVICE INDEX net|block: eth1, vda
name_of()
{
	function=$(function_of "$1" "$2")
	[ -z "$function" ] || ls "/sys/bus/pci/devices/$function"/virtio*/"$3" 2>/dev/null
}

# load METRIC INDEX WARM MILLISECONDS
load()
{
	case $1 in
	read-*) target=/dev/$(name_of $disk "$2" block) ;;
	*) target=$(host_of "$2"):$port ;;
	esac
	/bin/load "$1" "$target" "$3" "$4"
}

# probe NAME FUNCTION...: the first one that the kernel has
probe()
{
	name=$1
	shift
	for function; do
		! echo "p:bench/$name $function" >>$tracing/kprobe_events || return 0
	done 2>/dev/null
	return 1
}

# latency_of FUNCTION...: the time from its call to its return, as a histogram of the event bench_latency
latency_of()
{
	probe invalidations "$@" || return 0
	echo "r:bench/returns $function" >>$tracing/kprobe_events
	echo 'bench_latency u64 us' >$tracing/synthetic_events
	echo "$at_call" >$tracing/events/bench/invalidations/trigger
	echo "$at_return" >$tracing/events/bench/returns/trigger
	echo "$histogram" >$tracing/events/synthetic/bench_latency/trigger
}

# What invalidates: of the mode that is traced, under the guest's IOMMU.
probe_invalidations()
{
	case $(parameter iommu)-$1 in
	virtio-strict) latency_of viommu_iotlb_sync ;;
	virtio-lazy) latency_of viommu_flush_iotlb_all ;;
	intel-strict) latency_of intel_iommu_tlb_sync ;;
	intel-lazy) latency_of intel_flush_iotlb_all intel_iommu_flush_iotlb_all ;;
	esac
}

# set_probes MODE
set_probes()
{
	[ -e $tracing/kprobe_events ] || mount -t tracefs none $tracing
	probe notifications vp_notify || :
	probe maps iommu_map || :
	probe unmaps __iommu_unmap || :
	probe_invalidations "$1"
}

# An event goes after the triggers that name it.
remove_probes()
{
	if [ -e $tracing/events/synthetic/bench_latency ]; then
		echo "!$histogram" >$tracing/events/synthetic/bench_latency/trigger
		echo "!$at_return" >$tracing/events/bench/returns/trigger
		echo "!$at_call" >$tracing/events/bench/invalidations/trigger
		echo >$tracing/synthetic_events
	fi
	echo >$tracing/kprobe_events
}

counts()
{
	awk '$1 != "returns" { print "trace:", $1, $2 }' $tracing/kprobe_profile
}

# The histogram has a line "{ us: 12 } hitcount: 34" for each time.
percentiles()
{
	[ -e $tracing/events/synthetic/bench_latency ] || return 0
	sed -nE 's/^\{ us: +([0-9]+) \} hitcount: +([0-9]+).*/\1 \2/p' \
		$tracing/events/synthetic/bench_latency/hist | sort -n |
		awk '{ time[NR] = $1; sum += $2; until[NR] = sum }
			function at(share,    i) {
				for (i = 1; until[i] < share * sum; i++);
				return time[i]
			}
			END { if (sum) print "latency:", at(0.5), at(0.99) }'
}

# trace METRIC INDEX MILLISECONDS
trace()
{
	set_probes "$(mode_of "$2")"
	echo 1 >$tracing/events/bench/enable
	load "$1" "$2" "$3" 0 || return
	echo 0 >$tracing/events/bench/enable
	counts
	percentiles
	remove_probes
}

# tool METRIC INDEX SECONDS
tool()
{
	host=$(host_of "$2")
	case $1 in
	send-64K | receive-64K)
		set -- "$1" "$3" "$([ "$1" = send-64K ] || echo -R)"
		# shellcheck disable=SC2086
		iperf3 -c "$host" -O 1 -t "$2" -l 64K -f k $3 >/run/tool 2>&1 || return
		awk '/receiver/ { for (i = 2; i <= NF; i++) if ($i == "Kbits/sec") print "tool:", $(i - 1) / 1000 }' \
			/run/tool
		;;
	round-trips)
		qperf -t "$3" -to 20 -uu "$host" tcp_lat >/run/tool 2>&1 || return
		awk '$1 == "latency" && $3 > 0 { printf "tool: %.1f\n", 1e9 / $3 / 2 }' /run/tool
		;;
	*) return 1 ;;
	esac
}

# set_group DEVICE INDEX MODE: the kind of its group, which can be changed while no driver has the function
set_group()
{
	function=$(function_of "$1" "$2")
	[ -n "$function" ] || return 0
	case $3 in
	strict) type=DMA ;;
	lazy) type=DMA-FQ ;;
	passthrough) type=identity ;;
	*) return 0 ;;
	esac
	group=/sys/bus/pci/devices/$function/iommu_group
	[ "$(cat "$group/type")" != $type ] || return 0
	echo "$function" >"/sys/bus/pci/devices/$function/driver/unbind"
	echo $type >"$group/type"
	echo "$function" >/sys/bus/pci/drivers/virtio-pci/bind
	expect "the group of $function" $type "$(cat "$group/type")"
}

# bring_up INDEX: the card of a mode
bring_up()
{
	wait_for 10 "card $1" name_of $card "$1" net >/dev/null
	interface=$(name_of $card "$1" net)
	ip addr add "$(address_of "$1")/24" dev "$interface"
	ip link set "$interface" up
	wait_for 20 "answer from $(host_of "$1")" ping -q -c 1 -W 1 "$(host_of "$1")"
}

# A guest that is stopped while others are measured keeps its connections' speed.
echo 0 >/proc/sys/net/ipv4/tcp_slow_start_after_idle
# Full frames (scripts/guestbench/plan.py).
parameter segments >/proc/sys/net/ipv4/tcp_min_tso_segs
# No device has run before its group is what it should be: not all back ends bear a second start.
count=0
for mode in $(parameter modes | tr , ' '); do
	set_group $card "$count" "$mode"
	set_group $disk "$count" "$mode"
	count=$((count + 1))
done
modprobe virtio_blk
modprobe virtio_net
for index in $(seq 0 $((count - 1))); do
	bring_up "$index"
done
exec </dev/console
stty -echo
say ready
while read -r what metric rest; do
	status=0
	case $what in
	load | trace | tool)
		# shellcheck disable=SC2086
		"$what" "$metric" $rest || status=$?
		;;
	*) status=127 ;;
	esac
	echo "done: $status"
done
