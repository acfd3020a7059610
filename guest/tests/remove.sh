# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The driver lets go of its cards. At power-off Linux switches a VT-d unit off while devices may still work, and what
# they do then is a fault to whoever looks.
. ./lib.sh

rmmod virtio_net || fail 'the driver stays'
[ ! -e /sys/class/net/eth0 ] || fail 'eth0 is still there'
