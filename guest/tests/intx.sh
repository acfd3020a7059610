# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=dash
# With pci=nomsi,nommconf: each virtio device has a level-triggered pin of the IOAPIC, 16 + (slot + pin A) % 8, shared
# where the slots say so, and configuration goes through the ports.
. ./lib.sh

for device in $(find_devices 0x1af4 0x1042); do
	slot=$((0x$(echo "$device" | cut -d : -f 3 | cut -d . -f 1)))
	irq=$(cat "/sys/bus/pci/devices/$device/irq")
	pin=$(sed -nE "s/^ *$irq:.* IO-APIC +([0-9]+)-fasteoi .*/\1/p" /proc/interrupts)
	expect "pin of $device" $((16 + slot % 8)) "$pin"
done
grep -E '(1[6-9]|2[0-3])-fasteoi +.*virtio' /proc/interrupts || fail 'no level interrupt of a virtio device'
grep -qE -- '-fasteoi +.*virtio[0-9]+, *.*virtio[0-9]+' /proc/interrupts || fail 'no shared interrupt'
dmesg | grep -qE "$by_ports" || fail 'configuration does not go through the ports'
if dmesg | grep -E "$stray_interrupt"; then
	fail 'an interrupt that nobody wanted'
fi
say 'interrupts by pins'
