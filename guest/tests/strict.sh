# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The kernel gives up each mapping at once, as its command line asked for.
. ./lib.sh

dmesg | grep -qE "$strict_mode" || fail 'the kernel does not say that it is strict'
say "the kernel says: $(dmesg | grep -m 1 -E "$strict_mode" | sed 's/^\[[^]]*\] //')"
