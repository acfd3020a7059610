# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# A guest that does nothing: its monitor is measured.
. ./lib.sh

say idle now
while :; do
	sleep 3600
done
