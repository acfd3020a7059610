# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# After the net test: a file from port 7001 of the host, whose checksum the host compares, and the same file to its port
# 7002.
. ./lib.sh

host=$(parameter ip)
host=${host%.*}.1
# nc(1) ends its connection where its input ends, so the side that only receives has one that does not.
mkfifo /run/hold
nc "$host" 7001 <>/run/hold >/run/file || fail 'no file'
say "sha256 transfer $(sha256sum </run/file | cut -d ' ' -f 1)"
nc "$host" 7002 </run/file >/dev/null || fail 'the file was not taken'
rm /run/file
