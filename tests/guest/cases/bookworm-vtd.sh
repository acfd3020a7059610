# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Linux 6.1 behind VT-d.
suite=bookworm
. "$here/cases/other-linux.sh"
vtd_linux bookworm-vtd 'intel_iommu=on iommu.strict=1'
