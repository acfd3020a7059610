# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Our front end and our back end, which is killed and started again under load.
. "$here/cases/common.sh"

backend_guest backend intel-strict
[ -z "$full" ] || for way in virtio-strict virtio-lazy intel-lazy intel-caching; do
	backend_guest backend "$way"
done
