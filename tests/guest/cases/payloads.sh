# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Payloads, on a KVM that is native; all but the one with a disk that does not answer in time, for whose deadline the
# lab is too slow: `make check` runs that outside.
mapfile -t payload_cases < <("$here/payloads" --list | tr ' ' '\n' | grep -vx delayed)
"$here/payloads" "$BUILD" "${payload_cases[@]}"
