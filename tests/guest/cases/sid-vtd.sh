# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Debian's newest Linux behind VT-d.
suite=sid
. "$here/cases/other-linux.sh"
vtd_linux sid-vtd 'intel_iommu=on iommu.strict=1'
