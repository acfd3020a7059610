# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# The entropy device is the kernel's hardware source, and its bytes are not twice the same.
. ./lib.sh

expect 'hardware source' virtio_rng.0 "$(cat /sys/class/misc/hw_random/rng_current)"
for number in 1 2; do
	dd if=/dev/hwrng of=/run/random-$number bs=4096 count=16 iflag=fullblock 2>/dev/null || fail 'it cannot be read'
	expect 'bytes' 65536 "$(stat -c %s /run/random-$number)"
	# What is random does not compress.
	[ "$(gzip -c /run/random-$number | wc -c)" -gt 65000 ] || fail 'the bytes have a pattern'
done
if cmp -s /run/random-1 /run/random-2; then
	fail 'the same bytes twice'
fi
