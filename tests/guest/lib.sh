# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What host-side guest tests share. They run as root where KVM works; BUILD is the build directory, WORK a scratch one.

viommu=$BUILD/vmm/viommu
kernels=$(realpath "${BASH_SOURCE[0]%/*}/../../build")
kernel=$kernels/kernel/vmlinuz
image=$BUILD/guest/image.cpio
kind=guest
# shellcheck source=guest/tests/kernel-log.sh
. "${BASH_SOURCE[0]%/*}/../../guest/tests/kernel-log.sh"
GUEST_SECONDS=${GUEST_SECONDS:-300}
# A guest's first line comes within 25 seconds even where the lab's host is busy.
SILENT_SECONDS=120

ok()
{
	echo "ok $kind: $*"
}

# not_ok NAME WHY
not_ok()
{
	local log
	echo "not ok $kind: $1: $2"
	{
		echo "--- $1: the guest's console:"
		tail -n 60 "$WORK/$name.console"
		echo "--- $1: the monitor:"
		tail -n 20 "$WORK/$name.stderr"
		for log in "$WORK"/*.log; do
			[ ! -e "$log" ] || { echo "--- $1: ${log##*/}:"; tail -n 20 "$log"; }
		done
	} 2>&1 | sed 's/^/  | /' >&2
}

# check NAME WHY COMMAND...: one result line
check()
{
	local test=$1 why=$2
	shift 2
	if "$@"; then
		ok "$test"
	else
		not_ok "$test" "$why"
	fi
}

# A disk image with an ext4 file system that leaves the last MiB free.
make_ext4()
{
	rm -f "$1"
	truncate -s 65M "$1"
	mkfs.ext4 -q -F "$1" 64M
}

# make_tap NAME ADDRESS
make_tap()
{
	ip tuntap add "$1" mode tap
	ip addr add "$2/24" dev "$1"
	ip link set "$1" up
}

# Instructions that KVM has emulated for a monitor's guest, with its pid.
emulated()
{
	cat "/sys/kernel/debug/kvm/$1"-*/insn_emulation 2>/dev/null | awk '{ sum += $1 } END { print sum + 0 }'
}

# A guest that hangs: what its threads are at, and whether a processor loops in a nested page fault, each time emulated.
look_into()
{
	local task before
	for task in "/proc/$1/task"/*; do
		echo "$(cat "$task/comm"): state, user and system time $(cut -d ' ' -f 3,14,15 "$task/stat")," \
			"in $(cat "$task/wchan")"
	done
	before=$(emulated "$1")
	sleep 1
	echo "emulated instructions in a second: $(($(emulated "$1") - before))"
}

# Does a processor of the guest go round in nested page faults (docs/HACKING.md, "The lab")? Asked each second with the
# pid; says so when ten seconds long nearly nothing but emulation was done: no guest that works comes near that.
looping()
{
	local now
	((++looped % 5 == 0)) || return 1
	now=$(emulated "$1")
	if ((now - emulated_before > 50000)); then
		((++loop_rounds))
	else
		loop_rounds=0
	fi
	emulated_before=$now
	((loop_rounds >= 2))
}

# spread PID: lets the threads of a monitor that are no processors of its guest run where no guest may (docs/HACKING.md,
# "The lab"), too: a processor that waits for one of them would keep it from running. Once there are processors: new
# threads are born where they may run.
spread()
{
	local task
	for task in "/proc/$1/task"/*; do
		case $(cat "$task/comm" 2>/dev/null) in
		vcpu* | CPU*KVM) ;;
		*) taskset -p fff "${task##*/}" ;;
		esac
	done >/dev/null 2>&1
}

# watch_guest COMMAND...: a monitor with the guest $name, until it ends or takes too long. The guest's console is in
# $WORK/NAME.console, the monitor's lines in NAME.stderr, its process in NAME.pid, its exit status in $status. $reboots
# is set for a guest that does: each time its processors are made anew.
watch_guest()
{
	local pid seconds=0 looped=0 loop_rounds=0 emulated_before=0 spread=
	"$@" </dev/null >"$WORK/$name.console" 2>"$WORK/$name.stderr" &
	pid=$!
	echo "$pid" >"$WORK/$name.pid"
	while kill -0 "$pid" 2>/dev/null && [ "$seconds" -lt "$GUEST_SECONDS" ]; do
		sleep 1
		seconds=$((seconds + 1))
		if [ -z "${reboots:-}$spread" ] && grep -q '^guest: first line' "$WORK/$name.console"; then
			spread "$pid"
			spread=done
		fi
		! looping "$pid" || seconds=$GUEST_SECONDS
		if [ "$seconds" = "$SILENT_SECONDS" ] && [ ! -s "$WORK/$name.console" ]; then
			echo "guest silent for $seconds seconds" >>"$WORK/$name.stderr"
			seconds=$GUEST_SECONDS
		fi
	done
	if [ "$seconds" = "$GUEST_SECONDS" ]; then
		look_into "$pid" >>"$WORK/$name.stderr"
		kill -KILL "$pid"
	fi
	wait "$pid"
	status=$?
	echo "$status" >"$WORK/$name.status"
}

# run_guest NAME CMDLINE OPTION...: boots a guest and waits for its end, as watch_guest says.
run_guest()
{
	name=$1
	local cmdline="console=ttyS0 panic=-1 quiet $2"
	shift 2
	watch_guest "$viommu" run --kernel "$kernel" --initrd "$image" --cmdline "$cmdline" "$@"
}

# Did the guest say that each of these tests went well?
guest_passed()
{
	local test
	for test; do
		grep -q "^guest: $test: ok" "$WORK/$name.console" || return 1
	done
}

# no_fault [DEVICE]: the monitor has logged none, but for those of DEVICE.
no_fault()
{
	local fault='^viommu: fault'
	[ -e "$WORK/$name.stderr" ] && ! grep "$fault" "$WORK/$name.stderr" | grep -qv "$fault: 0000:${1:-none} "
}

said()
{
	grep -qE "$1" "$WORK/$name.stderr"
}

# guest_log_has PATTERN: a test in the guest has shown such a line of its kernel's log.
guest_log_has()
{
	grep -qE "^guest: the kernel's log says: .*($1)" "$WORK/$name.console"
}

# What the guest wrote is what the image holds: every file of the guest's disk test by its checksum.
same_files()
{
	local disk=$1 file hash found=0
	while read -r file hash; do
		[ "$(debugfs -R "cat /$file" "$disk" 2>/dev/null | sha256sum | cut -d ' ' -f 1)" = "$hash" ] || return 1
		found=$((found + 1))
	done < <(sed -nE 's/^guest: sha256 (file-[0-9]+) ([0-9a-f]{64}).*/\1 \2/p' "$WORK/$name.console")
	[ "$found" -ge 6 ]
}

same_raw()
{
	local hash
	hash=$(sed -nE 's/^guest: sha256 raw-4194304 ([0-9a-f]{64}).*/\1/p' "$WORK/$name.console")
	[ -n "$hash" ] && [ "$(head -c 4194304 "$1" | sha256sum | cut -d ' ' -f 1)" = "$hash" ]
}

# For people: what the guest measured.
show_throughput()
{
	sed -nE "s/^guest: (eth.* (Mbit\/s|per second)).*/# $name: \1/p" "$WORK/$name.console"
}
