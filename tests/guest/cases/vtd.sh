# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the cases of VT-d share: a working guest whose kernel says that the units are what the command line asked for.
# While it runs the last answer of `ctl stats` is kept.
. "$here/cases/common.sh"

# The counters of the monitor, as long as it answers.
watch_stats()
{
	while sleep 1; do
		"$viommu" ctl "$WORK/control" stats --json >"$WORK/stats.new" 2>/dev/null &&
			mv "$WORK/stats.new" "$WORK/stats"
	done
}

# stat_of NAME: from the last answer
stat_of()
{
	sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" "$WORK/stats"
}

# counted NAME: is it above zero?
counted()
{
	[ "$(stat_of "$1")" -gt 0 ]
}

# vtd_guest CASE KEYS-OF-THE-UNIT CMDLINE CPUS: as working_guest
vtd_guest()
{
	local case=$1 unit=$2 cmdline=$3 cpus=$4 watcher more_tests=,vtd
	rm -f "$WORK/stats"
	watch_stats &
	watcher=$!
	working_guest "$case" "intel_iommu=on iomem=relaxed viommu.seconds=1 $cmdline" "$cpus" \
		--iommu "intel,$unit" --control "$WORK/control"
	kill "$watcher"
	wait "$watcher" 2>/dev/null
	check "$case: remapping as the kernel says, no DMAR fault" 'see the console' guest_passed vtd
}
