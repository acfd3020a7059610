# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# One interrupt, by its name in /proc/interrupts ($NAME), goes to another CPU, once.
. ./lib.sh

irq=$(awk -v name="$NAME" '$NF == name { sub(":", "", $1); print $1 }' /proc/interrupts)
[ -n "$irq" ] || fail "there is no interrupt $NAME"
now=$(cat "/proc/irq/$irq/effective_affinity_list")
next=$(((now + 1) % $(nproc)))
echo "$next" >"/proc/irq/$irq/smp_affinity_list"
expect "interrupt $irq goes to CPU" "$next" "$(cat "/proc/irq/$irq/effective_affinity_list")"
say "$NAME has moved"
