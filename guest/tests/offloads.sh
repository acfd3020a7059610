# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: what the driver of eth0 has negotiated, frames larger than the MTU in both directions, and none
# any more to us once the driver has switched that off. viommu.mtu=N: the MTU that the device tells;
# viommu.bits=A,B,...: feature bits besides.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1
mtu=$(parameter mtu)

negotiated()
{
	[ "$(cut -c $(($1 + 1)) /sys/class/net/eth0/device/features)" = 1 ]
}

statistic()
{
	cat "/sys/class/net/eth0/statistics/$1"
}

# mean DIRECTION OPTION...: the mean size of the frames that iperf3 makes
mean()
{
	direction=$1
	shift
	bytes=$(statistic "${direction}_bytes") packets=$(statistic "${direction}_packets")
	iperf3 -c "$host" -t 2 "$@" >/run/iperf3 2>&1 || fail "iperf3: $(tail -n 1 /run/iperf3)"
	echo $((($(statistic "${direction}_bytes") - bytes) / ($(statistic "${direction}_packets") - packets)))
}

larger()
{
	[ "$2" -gt "$limit" ] || fail "$1: $2 bytes, not more than $limit"
	say "$1: $2 bytes"
}

# CSUM, GUEST_CSUM, CTRL_GUEST_OFFLOADS, MTU, GUEST_TSO4, TSO6, ECN, HOST_TSO4, TSO6, ECN, MRG_RXBUF, CTRL_VQ, CTRL_RX,
# CTRL_VLAN, CTRL_MAC_ADDR (virtio 1.2, section 5.1.3)
for bit in 0 1 2 3 7 8 9 11 12 13 15 17 18 19 23 $(parameter bits | tr , ' '); do
	negotiated "$bit" || fail "feature $bit was not negotiated"
done
expect MTU "${mtu:=1500}" "$(cat /sys/class/net/eth0/mtu)"
# The mean of frames up to the MTU is below this, with a few larger ones from before among them.
limit=$((mtu + mtu / 8))
ethtool -k eth0 >/run/offloads
for name in tx-checksumming rx-checksumming tcp-segmentation-offload rx-gro-hw; do
	grep -q "^$name: on" /run/offloads || fail "$name is off"
done
larger 'mean frame sent' "$(mean tx)"
larger 'mean frame received' "$(mean rx -R)"

# The driver takes it back by a command, and then gives it again.
ethtool -K eth0 rx-gro-hw off
sleep 1
size=$(mean rx -R)
[ "$size" -le "$limit" ] || fail "frames of $size bytes after rx-gro-hw was switched off"
say "mean frame received without rx-gro-hw: $size bytes"
ethtool -K eth0 rx-gro-hw on
larger 'and with it again' "$(mean rx -R)"
