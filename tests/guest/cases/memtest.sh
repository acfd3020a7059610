# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# memtest86+, bzImages that are no Linux: one starts in 64-bit mode, the other in 32-bit protected mode. They test
# memory until they are ended, and draw what they are at on the serial port.
memtest=$BUILD/memtest

# Has it come to a later test by now? It counts its time by the rate that it measured, and has found nothing.
tests_run()
{
	local seconds
	for ((seconds = 0; seconds < GUEST_SECONDS; seconds++)); do
		if grep -aqE '#[4-9] +\[' "$WORK/$name.console" &&
			grep -aqE 'Time: +0:00:0[1-9].*Testing' "$WORK/$name.console"; then
			! grep -aqE 'Errors: +[1-9]' "$WORK/$name.console"
			return
		fi
		kill -0 "$monitor" 2>/dev/null || return 1
		sleep 1
	done
	return 1
}

for bits in x64 ia32; do
	name=memtest-$bits
	if [ ! -e "$memtest/$bits.bin" ]; then
		echo "skip guest: $name: scripts/fetch-memtest has not fetched it"
		continue
	fi
	"$viommu" run --kernel "$memtest/$bits.bin" --memory size=64M --cmdline 'console=ttyS0,115200' \
		</dev/null >"$WORK/$name.console" 2>"$WORK/$name.stderr" &
	monitor=$!
	check "memtest: $bits: its tests run and find no error" 'see the console' tests_run
	kill "$monitor"
	wait "$monitor"
	status=$?
	check "memtest: $bits: the monitor ends when asked" "status $status" test "$status" = 143
done
