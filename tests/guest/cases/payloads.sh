# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Bare-metal guests where KVM does not interpret them.
"$here/payloads" "$BUILD"
