/* SPDX-License-Identifier: BSD-2-Clause */
/* The IOAPIC on the MMIO bus, its messages into KVM. */
#include "vmm/irqchip/irqchip.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/irqchip/ioapic.h"
#include "vmm/irqchip/routes.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout.h"
#include "vmm/util/bus.h"
#include "vmm/util/log.h"

/* `lock` guards ioapic and routes. It is the innermost lock: nothing but KVM is called with it held. */
struct irqchip {
	struct bus *mmio;
	struct bus_range range;
	int vm;
	bool route_error; /* logged once */
	pthread_mutex_t lock;
	struct ioapic ioapic;
	struct routes routes;
};

static bool send_message(const struct irqchip *chip, struct msi_message message)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)message.address,
		.address_hi = (uint32_t)(message.address >> 32),
		.data = message.data,
	};

	return ioctl(chip->vm, KVM_SIGNAL_MSI, &msi) > 0;
}

static bool deliver_cb(void *opaque, struct msi_message message)
{
	return send_message(opaque, message);
}

/* A masked pin keeps its old route: the EOI of an interrupt that it fired before may still come. */
static void retarget_cb(void *opaque, unsigned pin, struct msi_message message)
{
	struct irqchip *chip = opaque;

	routes_set(&chip->routes, pin, message);

	const int error = routes_commit(&chip->routes);

	if (error && !chip->route_error) {
		chip->route_error = true;
		vmm_log("KVM refuses an interrupt route: %s; level interrupts may stick", strerror(-error));
	}
}

static const struct ioapic_ops ioapic_ops = {.deliver = deliver_cb, .retarget = retarget_cb};

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
	struct irqchip *chip = opaque;

	(void)size;
	pthread_mutex_lock(&chip->lock);

	const uint32_t value = ioapic_read(&chip->ioapic, offset);

	pthread_mutex_unlock(&chip->lock);
	return value;
}

static void chip_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct irqchip *chip = opaque;

	(void)size;
	pthread_mutex_lock(&chip->lock);
	ioapic_write(&chip->ioapic, offset, (uint32_t)value);
	pthread_mutex_unlock(&chip->lock);
}

static const struct bus_ops chip_bus_ops = {.read = chip_read, .write = chip_write};

int irqchip_create(struct kvm *kvm, struct bus *mmio, struct irqchip **out)
{
	struct irqchip *chip = calloc(1, sizeof(*chip));
	int error;

	if (!chip)
		return -ENOMEM;
	chip->mmio = mmio;
	chip->vm = kvm->vm;
	chip->range = (struct bus_range){
		.first = LAYOUT_IOAPIC,
		.last = LAYOUT_IOAPIC + LAYOUT_IOAPIC_SIZE - 1,
		.ops = &chip_bus_ops,
		.opaque = chip,
	};
	pthread_mutex_init(&chip->lock, NULL);
	ioapic_init(&chip->ioapic, &ioapic_ops, chip);
	error = routes_init(&chip->routes, kvm->vm);
	if (error)
		goto err_chip;
	error = bus_add(mmio, &chip->range);
	if (error)
		goto err_routes;
	*out = chip;
	return 0;

err_routes:
	routes_fini(&chip->routes);
err_chip:
	pthread_mutex_destroy(&chip->lock);
	free(chip);
	return error;
}

void irqchip_destroy(struct irqchip *chip)
{
	bus_remove(chip->mmio, &chip->range);
	routes_fini(&chip->routes);
	pthread_mutex_destroy(&chip->lock);
	free(chip);
}

void irq_send(struct irqchip *chip, struct msi_message message)
{
	/* The message is the guest's own: one that reaches no CPU is lost, as on hardware. */
	send_message(chip, message);
}

void irq_set_pin(struct irqchip *chip, unsigned gsi, bool level)
{
	if (gsi >= LAYOUT_IOAPIC_PINS)
		return;
	pthread_mutex_lock(&chip->lock);
	ioapic_set_line(&chip->ioapic, gsi, level);
	pthread_mutex_unlock(&chip->lock);
}

void irq_eoi(struct irqchip *chip, uint8_t vector)
{
	pthread_mutex_lock(&chip->lock);
	ioapic_eoi(&chip->ioapic, vector);
	pthread_mutex_unlock(&chip->lock);
}
