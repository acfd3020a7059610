# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The kernel's vhost-net as the back end.
. "$here/cases/common.sh"

vhost_guest()
{
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
