# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The kernel's vhost-net as the back end.
. "$here/cases/common.sh"

vhost_guest()
{
	wants "$1" || return 0
	make_tap peer2 10.78.2.1
	peer_guest "vhost-net-$1" 10.78.2.2 tap=peer2,vhost=on "$1" net,round-trips,remove,log
	ip link delete peer2
}

modprobe vhost_net
vhost_guest virtio-strict
vhost_guest intel-strict
[ -z "$full" ] || for way in virtio-lazy intel-lazy; do
	vhost_guest "$way"
done

# The bench's own rows of it, which no other machine of ours can have.
kernel_rows()
{
	local row
	"$viommu" bench --json iotlb >"$WORK/bench" 2>"$WORK/bench.log"
	for row in vhost-net-frame vhost-net-frame-plain vhost-net-hit vhost-net-miss vhost-net-frame-stale; do
		grep -q "\"case\": \"$row\"" "$WORK/bench" || return 1
	done
}
check "vhost-net: viommu bench iotlb measures the kernel's device IOTLB" 'see bench.log' kernel_rows
sed -nE 's/.*"case": "(vhost-net[^"]*)", "value": ([0-9.]+), "unit": "([a-z]+)".*/# \1: \2 \3/p' "$WORK/bench"
