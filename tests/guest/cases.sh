# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# How a suite runs its cases, one after the other, each with servers of its own for the guests. Source lib.sh first.

servers=()

# Why a case failed, where the lab's own processor is to blame (docs/HACKING.md, "The lab"); empty where that does not
# show.
lab_failure()
{
	local console
	for console in "$WORK"/*.console; do
		[ -e "${console%.console}.status" ] || continue
		if grep -qE "$stuck_processor" "$console"; then
			echo ': the guest says that a processor is stuck'
		elif grep -qE '^emulated instructions in a second: [0-9]{4,}' "${console%.console}.stderr"; then
			echo ': a processor loops in a nested page fault'
		elif grep -q 'KVM cannot go on at .*(internal error 3)' "${console%.console}.stderr"; then
			echo ': KVM took an event that was delivered for one under way'
		elif grep -q 'triple fault; the guest is reset' "${console%.console}.stderr"; then
			echo ': the guest was reset by a triple fault'
		elif [ "$(grep -c '^guest: .*: ok' "$console")" -gt \
			"$(grep '^guest: .*: ok' "$console" | sort -u | wc -l)" ]; then
			echo ': the guest was reset while it ran'
		elif [ "$(cat "${console%.console}.status")" = 0 ] && grep -q '^guest: ' "$console" &&
			! grep -q 'reboot: ' "$console"; then
			echo ': the guest was gone without a word'
		elif grep -q '^guest silent' "${console%.console}.stderr"; then
			echo ': the guest hung before its first line'
		fi
	done | head -n 1
}

# A server that a guest has left in the middle of a test takes no other, so each case has new ones. They run where no
# guest does.
start_servers()
{
	if ((${#servers[@]})); then
		kill "${servers[@]}"
		wait "${servers[@]}"
	fi
	taskset -c 0 iperf3 -s >/dev/null 2>&1 &
	servers=($!)
	taskset -c 0 qperf >/dev/null 2>&1 &
	servers+=($!)
}

# healthy_kernels CASE: none of its guests' kernels has met with a bug of its own.
healthy_kernels()
{
	local name found line
	found=$(grep -lE "$broken_kernel" "$WORK"/*.console 2>/dev/null | head -n 1)
	name=$(basename "${found:-none}" .console)
	line=$(grep -m 1 -hE "$broken_kernel" "${found:-/dev/null}")
	check "$1: no guest's kernel has failed" "that of $name has: $line" test -z "$found"
}

run_case()
{
	rm -f "$WORK"/*.console "$WORK"/*.stderr "$WORK"/*.status "$WORK/keys"
	if [ ! -e "$1/cases/$2.sh" ]; then
		echo "not ok $kind: $2: there is no such case in $1/cases" >"$WORK/results"
		return
	fi
	start_servers
	# shellcheck source=/dev/null
	(. "$1/cases/$2.sh"; healthy_kernels "$2") >"$WORK/results" 2>&1
}

# run_cases DIR CASE...: those of DIR/cases. The lab's processor spoils one boot in twenty or so, and a case may have
# several: one that fails with a sign of that runs again, three times in all, and what it said before is shown. Without
# such a sign, or three times, it has failed. Where $CLAIMS is a directory, a case of which it has an entry is left to
# the suite that made it. None begins when $CASE_SECONDS are over.
run_cases()
{
	local dir=$1 case try why before
	shift
	for case; do
		((SECONDS < ${CASE_SECONDS:-SECONDS + 1})) || break
		[ -z "${CLAIMS:-}" ] || mkdir "$CLAIMS/$case" 2>/dev/null || continue
		before=$SECONDS
		for try in 1 2 3; do
			run_case "$dir" "$case"
			why=$(lab_failure)
			if [ -z "$why" ] || [ "$try" = 3 ] || ! grep -q '^not ok' "$WORK/results"; then
				break
			fi
			sed 's/^/  | /' "$WORK/results"
			echo "# $case: once more$why"
		done
		cat "$WORK/results"
		echo "# $case: done in $((SECONDS - before)) s"
	done
}
