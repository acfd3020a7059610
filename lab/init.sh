#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# Process 1 of the lab: mounts the host's root file system below an overlay, runs the command in it, and hands its
# output and exit status back over virtio-serial ports 1 (stdout), 2 (stderr) and 3 ("begun", then the status). /job is
# a directory that lab/run fills: command (a bash script), modules and out (paths), limit (seconds).
/bin/busybox --install -s /bin
export PATH=/bin

mount_9p()
{
	mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || echo "lab: cannot mount $1"
}

set_up()
{
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs devtmpfs /dev
	while read -r module; do
		insmod "/modules/$module" || echo "lab: cannot load $module"
	done </modules/order
	mount_9p root /ro ro,cache=loose
	mount_9p job /job ro,cache=loose
	mount -t tmpfs tmpfs /rw
	mkdir -p /rw/upper/.lab /rw/work
	cp /job/command /rw/upper/.lab/
	mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /new
	ip link set lo up
	hostname lab
	echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
	echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
}

# /proc, /dev and /sys stay with this script too: it needs them at the end.
set_up_root()
{
	for dir in proc sys dev; do
		mount --bind "/$dir" "/new/$dir"
	done
	mkdir -p /new/dev/pts /new/dev/shm /new/dev/hugepages
	mount -t devpts devpts /new/dev/pts
	mount -t tmpfs tmpfs /new/dev/shm
	mount -t hugetlbfs hugetlbfs /new/dev/hugepages
	ln -s /proc/self/fd /new/dev/fd
	ln -s /proc/self/fd/0 /new/dev/stdin
	ln -s /proc/self/fd/1 /new/dev/stdout
	ln -s /proc/self/fd/2 /new/dev/stderr
	mkdir -p /new/lib/modules
	mount --bind "/ro$(cat /job/modules)" /new/lib/modules
	if [ -s /job/out ]; then
		out=/new$(cat /job/out)
		mkdir -p "$out"
		mount_9p out "$out" cache=mmap
	fi
}

# One idle virtual machine for as long as the lab lives, its local APIC never enabled. Its numbers are KVM_CREATE_VM,
# KVM_CREATE_IRQCHIP and KVM_CREATE_VCPU. The kernel patches its own code when the first machine or such an APIC comes,
# and when the last one goes, and QEMU's processors now and then run into the breakpoint of such a patch ("Oops: int3").
keep_kvm()
{
	# shellcheck disable=SC2016
	chroot /new /usr/bin/perl -e '
		open(my $kvm, "+<", "/dev/kvm") or exit;
		my $vm = ioctl($kvm, 0xae01, 0) or exit;
		open(my $machine, "+<&=", $vm) or exit;
		ioctl($machine, 0xae60, 0) and ioctl($machine, 0xae41, 0);
		sleep' </dev/null &
}

# Ends everything but this script and the two relays; true when nothing is left.
end_rest()
{
	left=
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		case " 1 $relays " in
		*" $pid "*) continue ;;
		esac
		# Kernel threads and the dead have no command line.
		if [ -n "$(tr '\0' ' ' <"$dir/cmdline" 2>/dev/null)" ]; then
			kill -9 "$pid" 2>/dev/null && left="$left $pid"
		fi
	done
	[ -z "$left" ]
}

# The relays end when the last writer is gone, and the command may have left some behind.
drain()
{
	tries=0
	until end_rest; do
		tries=$((tries + 1))
		if [ $tries = 50 ]; then
			echo "lab: processes$left cannot be killed"
			sleep 1
			# shellcheck disable=SC2086
			kill $relays
			break
		fi
		sleep 0.1
	done
	# shellcheck disable=SC2086
	wait $relays
}

# The processors that COMMAND starts on, as a mask: all but the first, where there are more; what runs no guest may go
# there. Any processor of this QEMU that loads FPU state (XRSTOR) writes back the first one's hidden flags as it has
# read them a moment ago, so a virtual machine on that one falls out of nested paging, or back into it, now and then:
# the guest is reset or loops in page faults, and the lab's kernel goes down with it. Where no guest runs these flags
# never change.
others()
{
	[ "$(nproc)" = 1 ] && echo 1 || printf %x $(((1 << $(nproc)) - 2))
}

run_command()
{
	mkfifo /stdout /stderr
	cat /stdout >"${port}1" &
	relays=$!
	cat /stderr >"${port}2" &
	relays="$relays $!"
	ulimit -c 0
	taskset "$(others)" setsid chroot /new /bin/bash /.lab/command </dev/null >/stdout 2>/stderr &
	command=$!
	(sleep "$(cat /job/limit)" && : >/late && kill -9 $command) &
	wait $command
	status=$?
	[ ! -e /late ] || status=124
	drain
}

set_up
set_up_root
# There is one virtio-serial device; its number depends on what else is there.
port=$(echo /dev/vport*p1)
port=${port%1}
keep_kvm
echo begun >"${port}3"
run_command
[ -z "${out:-}" ] || umount "$out"
sync
echo "$status" >"${port}3"
poweroff -f
