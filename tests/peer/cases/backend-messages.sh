# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and our back end, which does not read a table, but asks and is told.
. "$here/cases/common.sh"

backend_guest backend-messages intel-strict ,shared=off
[ -z "$full" ] || for way in virtio-strict virtio-lazy intel-lazy; do
	backend_guest backend-messages "$way" ,shared=off
done
