# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and DPDK's vhost as the back end.
. "$here/cases/common.sh"
dpdk_guest dpdk peer1 10.78.1 virtio-strict ''
[ -z "$full" ] || for way in virtio-lazy intel-strict intel-lazy; do
	dpdk_guest dpdk peer1 10.78.1 "$way" ''
done
