# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The control socket beside a Linux guest: what it tells, what it tells after blocked DMAs and after a reboot, and its
# end. The guest has a shell whose keyboard is a FIFO.
name=control
truncate -s 8M "$WORK/raw"
mkfifo "$WORK/keys"
"$viommu" run --kernel "$kernel" --initrd "$image" --cmdline 'console=ttyS0 panic=-1 quiet iommu.strict=1' --cpus 2 \
	--disk "path=$WORK/raw,iommu=on" --test-device edu,iommu=on --control "$WORK/control" \
	<>"$WORK/keys" >"$WORK/control.console" 2>"$WORK/control.stderr" &
monitor=$!

# appears COUNT PATTERN: wait until the console has shown it that often.
appears()
{
	local i
	for ((i = 0; i < GUEST_SECONDS; i++)); do
		[ "$(grep -cE "$2" "$WORK/control.console")" -lt "$1" ] || return 0
		sleep 1
	done
	return 1
}

type_line()
{
	echo "$1" >"$WORK/keys"
}

# ctl_says PATTERN WORD...: the answer has a line that matches.
ctl_says()
{
	local pattern=$1 answer
	shift
	answer=$("$viommu" ctl "$WORK/control" "$@") && grep -qE "$pattern" <<<"$answer"
}

check 'control: the guest starts' 'no shell' appears 1 'here is a shell'
check 'control: the socket is private' 'mode' test "$(stat -c %a "$WORK/control")" = 600
check 'control: info in JSON' 'see ctl' ctl_says '"cpus": 2, "memory": 536870912, "iommu": "virtio"' info --json
check 'control: info as a table' 'see ctl' ctl_says '^03\.0 +test-device +on +edu' info
check 'control: stats count mappings' 'see ctl' ctl_says '^maps +[1-9]' stats
check 'control: stats count the events that no driver took' 'see ctl' ctl_says '^events_dropped +[0-9]' stats
check 'control: stats count exits' 'see ctl' ctl_says '"exits": [1-9]' stats --json
check 'control: no faults at first' 'see ctl' test -z "$("$viommu" ctl "$WORK/control" faults --json)"
type_line 'cd /tests && sh edu.sh; echo edu" "done'
check 'control: the edu test runs' 'see the console' appears 1 'edu done'
access='"device": "0000:00:03.0", "address": "0x12345000", "access": "write"'
check 'control: a fault in JSON' 'see ctl' \
	ctl_says "$access, \"reason\": \"not mapped\", \"domain\": [0-9]+" faults --json
check 'control: a fault of a device that was not attached' 'see ctl' \
	ctl_says '"reason": "not attached", "domain": null' faults --json
check 'control: faults as a table' 'see ctl' ctl_says '0000:00:03\.0 +write +0x12345000 +[0-9]+ +not mapped' faults
check 'control: stats count the faults of each device' 'see ctl' ctl_says '^03\.0 +test-device +[1-9]' stats
type_line 'reboot -f'
check 'control: the guest starts again' 'no second shell' appears 2 'here is a shell'
check 'control: the socket answers after the reboot' 'see ctl' ctl_says '^boots +2$' info
check 'control: stop' 'status' "$viommu" ctl "$WORK/control" stop
wait "$monitor"
status=$?
check 'control: the monitor ends as after a power-off' "status $status" test "$status" = 0
check 'control: the socket is gone' 'still there' test ! -e "$WORK/control"

# A signal ends the monitor, and its socket, too.
"$viommu" run --kernel "$kernel" --initrd "$image" --control "$WORK/control" --serial none \
	</dev/null 2>"$WORK/control.stderr" &
monitor=$!
for ((i = 0; i < 300; i++)); do
	[ ! -S "$WORK/control" ] || break
	sleep 0.1
done
kill -TERM "$monitor"
wait "$monitor"
status=$?
check 'control: SIGTERM ends the monitor' "status $status" test "$status" = 143
check 'control: and takes the socket along' 'still there' test ! -e "$WORK/control"
