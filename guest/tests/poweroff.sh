# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# Nothing but the end, which is init's.
. ./lib.sh

say "up for $(cut -d ' ' -f 1 /proc/uptime) s"
