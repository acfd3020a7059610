# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A disk that somebody else serves: QEMU's storage daemon, which knows no IOMMU. With iommu=on it gets copies only, and
# is killed and started again while the guest writes; without, it has all of the guest's memory. The guest reboots
# first.
. "$here/cases/common.sh"

# start_storage SOCKET IMAGE. A killed one leaves its socket.
start_storage()
{
	rm -f "$1"
	taskset -c 0 qemu-storage-daemon --blockdev "driver=file,node-name=image,filename=$2" \
		--export "type=vhost-user-blk,id=disk,node-name=image,writable=on,addr.type=unix,addr.path=$1" \
		</dev/null >>"$WORK/storage.log" 2>&1 &
	peer=$!
	disown
	until_true 30 listening "$1"
}

guest_lives()
{
	kill -0 "$(cat "$WORK/$name.pid")" 2>/dev/null
}

# kill_storage COMMAND...: from the second boot's mark to the end of the guest, ends the daemon now and then, and starts
# it with COMMAND. How often is in $WORK/killed, the last daemon in $WORK/peer.
kill_storage()
{
	local round=0
	echo 0 >"$WORK/killed"
	until_true "$GUEST_SECONDS" said_guest 'second boot' || return
	while ((round < kills)) && guest_lives && ! said_guest 'disk: ok'; do
		sleep 1
		kill -KILL "$peer"
		until_true 10 gone && "$@" || return
		echo $((++round)) >"$WORK/killed"
		echo "$peer" >"$WORK/peer"
	done
}

# disk_guest CASE KEYS OPTION...
disk_guest()
{
	local case=$1 keys=$2 killer='' socket=$WORK/storage-socket
	shift 2
	make_ext4 "$WORK/disk"
	rm -f "$WORK/peer"
	start_storage "$socket" "$WORK/disk"
	name=$case
	if [ -n "$keys" ]; then
		kill_storage start_storage "$socket" "$WORK/disk" &
		killer=$!
	fi
	reboots=yes run_guest "$case" "iommu.strict=1 viommu.test=reboot,disk,log" \
		--cpus 2 --disk "vhost-user=$socket$keys" "$@"
	if [ -n "$killer" ]; then
		wait "$killer"
		peer=$(cat "$WORK/peer" 2>/dev/null || echo "$peer")
		check "$case: killed and started again while the guest works" "$(cat "$WORK/killed") times" \
			test "$(cat "$WORK/killed")" -ge 1
		echo "# $case: $(cat "$WORK/killed") kills"
	fi
	check "$case: the guest starts again and powers off" "status $status" test "$status" = 0
	check "$case: the second boot finds what the first one left" 'see the console' guest_passed reboot
	check "$case: the disk works" 'see the console' guest_passed disk
	check "$case: the host reads what the guest wrote" 'checksums differ' same_files "$WORK/disk"
	check "$case: no fault, stall or warning in the guest's log" 'see the console' guest_passed log
	check "$case: the monitor reports no fault" "see the monitor's lines" no_fault
	stop_peer
}

disk_guest disk-isolated ,iommu=on,isolate=on --iommu virtio
disk_guest disk-plain '' --iommu none
[ -z "$full" ] || disk_guest disk-isolated-intel ,iommu=on,isolate=on --iommu intel
