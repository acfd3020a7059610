# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The counter-proof: an edu device past the IOMMU does reach memory. The attack must succeed here.
. ./lib.sh

edu=$(find_edu)
[ -n "$edu" ] || fail 'there is no edu device'
if edu-devmem "$edu"; then
	fail 'the DMA did not reach memory'
fi
say 'the DMA reached memory, as it does without an IOMMU'
