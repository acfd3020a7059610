# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# Files of several sizes on the disk with an ext4 file system, read back from the disk, and a raw pattern on the other
# one if there is one. Prints "guest: sha256 NAME HASH" for each, for the host to compare.
. ./lib.sh

# The magic number in the superblock, 56 bytes from its start at 1 KiB: there is no blkid here.
is_ext4()
{
	[ "$(dd if="$1" bs=2 skip=540 count=1 2>/dev/null | xxd -p)" = 53ef ]
}

# Which disk is called vda depends on whose driver was first.
sort_disks()
{
	disk='' raw=''
	for device in /dev/vd?; do
		if is_ext4 "$device"; then
			disk=$device
		else
			raw=$device
		fi
	done
	[ -n "$disk" ]
}

hash_of()
{
	sha256sum <"$1" | cut -d ' ' -f 1
}

write_files()
{
	for size in 1 4095 4096 65537 1048576 8388608; do
		head -c "$size" /dev/urandom >"/mnt/file-$size"
	done
	sync
	for file in /mnt/file-*; do
		name=$(basename "$file")
		hash_of "$file" >"/run/$name"
		say "sha256 $name $(cat "/run/$name")"
	done
}

# From the disk and not from the page cache.
read_back()
{
	umount /mnt
	echo 3 >/proc/sys/vm/drop_caches
	mount -t ext4 "$disk" /mnt
	for file in /mnt/file-*; do
		name=$(basename "$file")
		[ "$(cat "/run/$name")" = "$(hash_of "$file")" ] || fail "$name came back different"
	done
	umount /mnt
}

raw_pattern()
{
	head -c 4194304 /dev/urandom >/run/pattern
	dd if=/run/pattern of="$raw" bs=64k conv=fsync 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	dd if="$raw" bs=1M count=4 2>/dev/null | cmp - /run/pattern || fail 'the raw pattern came back different'
	say "sha256 raw-4194304 $(hash_of /run/pattern)"
	rm /run/pattern
}

modprobe ext4
wait_for 10 'disk with an ext4 file system' sort_disks
mount -t ext4 "$disk" /mnt
write_files
read_back
if [ -b "$raw" ]; then
	raw_pattern
fi
