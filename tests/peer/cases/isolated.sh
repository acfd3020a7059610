# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A back end that gets no guest memory: DPDK's.
. "$here/cases/common.sh"
dpdk_guest isolated peer3 10.78.3 virtio-strict ,isolate=on
[ -z "$full" ] || dpdk_guest isolated peer3 10.78.3 intel-strict ,isolate=on
