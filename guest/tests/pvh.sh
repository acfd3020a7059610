# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# Linux notes itself by which way it was started: 0xb0 is PVH outside of Xen.
. ./lib.sh

expect 'type of loader' 176 "$(cat /proc/sys/kernel/bootloader_type)"
