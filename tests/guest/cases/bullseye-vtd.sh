# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux 5.10 behind VT-d.
suite=bullseye
. "$here/cases/other-linux.sh"
vtd_linux bullseye-vtd intel_iommu=on,strict
