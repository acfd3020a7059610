# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and our back end, which gets copies only.
. "$here/cases/common.sh"

backend_guest backend-isolated intel-strict ,isolate=on
[ -z "$full" ] || backend_guest backend-isolated virtio-strict ,isolate=on
