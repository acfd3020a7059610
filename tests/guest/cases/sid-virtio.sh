# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Debian's newest Linux behind a virtio-iommu.
suite=sid
. "$here/cases/other-linux.sh"
other_linux sid-virtio iommu.strict=1 '' --iommu virtio
