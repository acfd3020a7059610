# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Interrupts that are remapped: moved from CPU to CPU while disk and network are busy; one move changes one route; and
# an interrupt costs no exit to the monitor. The guest has a shell whose keyboard is a FIFO.
name=vtd-irq
head -c 16M /dev/urandom >"$WORK/raw"
mkfifo "$WORK/keys"
"$viommu" run --kernel "$kernel" --initrd "$image" --cpus 4 --iommu intel --disk "path=$WORK/raw,iommu=on" \
	--net tap=viommu0,iommu=on --control "$WORK/control" --no-reboot \
	--cmdline 'console=ttyS0 panic=-1 quiet intel_iommu=on iommu=pt viommu.ip=10.77.0.2 viommu.seconds=4' \
	<>"$WORK/keys" >"$WORK/$name.console" 2>"$WORK/$name.stderr" &
monitor=$!

# appears PATTERN: wait until the console shows it.
appears()
{
	local i
	for ((i = 0; i < GUEST_SECONDS * 10; i++)); do
		! grep -qE "$1" "$WORK/$name.console" || return 0
		sleep 0.1
	done
	return 1
}

type_line()
{
	echo "$1" >"$WORK/keys"
}

stat_of()
{
	"$viommu" ctl "$WORK/control" stats --json | sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p"
}

# Every counter that one move changes, as "changed resolved commits".
routes()
{
	echo "$(stat_of routes_changed) $(stat_of routes_resolved) $(stat_of route_commits)"
}

# moved NAME PATTERN: the difference that one move of that interrupt makes
moved()
{
	local before after
	before=$(routes)
	type_line "NAME=$1 sh -eu irq-move.sh"
	appears "^guest: $1 has moved" || return 1
	after=$(routes)
	difference=$(awk -v before="$before" -v after="$after" \
		'BEGIN { split(before, b); split(after, a); print a[1] - b[1], a[2] - b[2], a[3] - b[3] }')
	# shellcheck disable=SC2053
	[[ $difference == $2 ]]
}

# Direct reads, one after the other, in a guest whose contexts are pass-through: nothing is mapped, only interrupts
# come.
exits_per_interrupt()
{
	local before exits
	before=$(stat_of exits)
	type_line 'sh -eu irq-count.sh'
	appears '^guest: reads: [0-9]+ interrupts' || return 1
	exits=$(($(stat_of exits) - before))
	interrupts=$(sed -nE 's/^guest: reads: ([0-9]+) interrupts.*/\1/p' "$WORK/$name.console")
	result="$exits exits, $interrupts interrupts"
	[ "$interrupts" -ge 4096 ] && [ $((exits * 4)) -lt "$interrupts" ]
}

check 'vtd-irq: the guest starts' 'no shell' appears 'here is a shell'
spread "$monitor"
type_line 'cd /tests; ifconfig eth0 10.77.0.2 up; echo up and" "running'
check 'vtd-irq: the network is up' 'see the console' appears '^up and running'
sleep 1
# Not in KVM's table: the monitor sends these itself, and KVM need not be told.
check 'vtd-irq: one invalidated entry changes exactly one route' 'see the numbers' moved virtio1-input.0 '1 1 0'
echo "# vtd-irq: routes changed, routes resolved, tables for KVM: $difference"
# Linux invalidates a pin's entry more than once.
check "vtd-irq: a pin is in KVM's table, which is replaced once" 'see the numbers' moved ttyS0 '1 * 1'
echo "# vtd-irq: the same for a pin: $difference"
check 'vtd-irq: no exit to user space for each interrupt' 'see the numbers' exits_per_interrupt
echo "# vtd-irq: $result"
type_line 'sh -eu affinity.sh && echo affinity: went" "well'
check 'vtd-irq: nothing is lost while interrupts move, and they arrive where they are sent' 'see the console' \
	appears '^affinity: went well'
type_line 'poweroff -f'
wait "$monitor"
status=$?
check 'vtd-irq: the guest powers off' "status $status" test "$status" = 0
check 'vtd-irq: no fault' "see the monitor's lines" no_fault
