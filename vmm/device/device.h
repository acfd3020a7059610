/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices that are not virtio. */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <stdint.h>

#include "vmm/kvm/kvm.h"
#include "vmm/util/bus.h"

struct irqchip;
struct loop;
struct pci_dev;

/*
 * 16550A at LAYOUT_PORT_SERIAL, GSI LAYOUT_GSI_SERIAL (edge). Output goes to out_fd (-1: nowhere), input comes from
 * in_fd (-1: none) once the guest raises RTS. Destroy it when no vCPU and no loop runs; that writes out what is left.
 */
struct serial;
int serial_create(struct bus *pio, struct irqchip *irqchip, struct loop *loop, int in_fd, int out_fd,
		  struct serial **out);
void serial_destroy(struct serial *serial);

/* ACPI sleep, status and reset registers; calls end(why) from a vCPU's thread. */
struct power;
int power_create(struct bus *pio, void (*end)(void *opaque, enum vm_end why), void *opaque, struct power **out);
void power_destroy(struct power *power);

/* The ACPI power management timer, at LAYOUT_PORT_PM_TIMER. */
struct pm_timer;
int pm_timer_create(struct bus *pio, struct pm_timer **out);
void pm_timer_destroy(struct pm_timer *timer);

/* A write to LAYOUT_PORT_EXIT calls end(value) from a vCPU's thread. */
struct exit_port;
int exit_port_create(struct bus *pio, void (*end)(void *opaque, uint32_t value), void *opaque, struct exit_port **out);
void exit_port_destroy(struct exit_port *port);

/*
 * The teaching device `edu` (1234:11e8, QEMU docs/specs/edu.rst): identification, liveness check, factorial, DMA engine
 * with its 4 KiB buffer at 0x40000, interrupts by INTx or MSI. DMA runs on the I/O thread through the function's
 * endpoint, without the original's 28-bit address mask; a factorial is ready at once.
 */
int edu_create(struct loop *loop, struct pci_dev **out);

#endif
