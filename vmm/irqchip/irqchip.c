/* SPDX-License-Identifier: BSD-2-Clause */
/* The IOAPIC on the MMIO bus, its messages into KVM. */
#include "vmm/irqchip/irqchip.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vmm/irqchip/ioapic.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/irq.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"
#include "vmm/util/mutex.h"

/* Lock order: irqchip.hook_lock -> irqchip.lock -> irq_router.lock -> irq_route.lock -> routes.lock. */
struct irqchip {
	struct bus *mmio;
	struct bus_range range;
	struct irq_router router;
	struct irq_route *pins[LAYOUT_IOAPIC_PINS];
	struct mutex lock;
	struct ioapic ioapic GUARDED_BY(lock);
	struct mutex hook_lock; /* held while hooks run */
	struct irq_end_hook *hooks GUARDED_BY(hook_lock);
	_Atomic uint32_t hooked; /* a bit for each pin: it has, or had, a hook */
};

static bool deliver_cb(void *opaque, unsigned pin)
{
	struct irqchip *chip = opaque;

	return irq_route_raise(chip->pins[pin]);
}

/* A masked pin keeps its old route: the EOI of an interrupt that it fired before may still come. */
static void retarget_cb(void *opaque, unsigned pin, struct msi_message message)
{
	struct irqchip *chip = opaque;

	irq_route_set(chip->pins[pin], message);
}

static const struct ioapic_ops ioapic_ops = {.deliver = deliver_cb, .retarget = retarget_cb};

static uint64_t chip_read(void *opaque, uint64_t offset, unsigned size)
{
	struct irqchip *chip = opaque;

	(void)size;
	mutex_take(&chip->lock);

	const uint32_t value = ioapic_read(&chip->ioapic, offset);

	mutex_drop(&chip->lock);
	return value;
}

/* Most pins have none, and their interrupts end without this lock. */
static void run_hooks(struct irqchip *chip, uint32_t ended)
{
	if (!(atomic_load(&chip->hooked) & ended)) /* partner: irq_end_hook_add() */
		return;
	mutex_take(&chip->hook_lock);
	for (const struct irq_end_hook *hook = chip->hooks; hook; hook = hook->next)
		if (ended >> hook->gsi & 1)
			hook->ended(hook->opaque, hook->gsi);
	mutex_drop(&chip->hook_lock);
}

/* The owner of the line may let it go first: else the interrupt would come once more for nothing. */
static void end_interrupts(struct irqchip *chip, uint32_t ended)
{
	if (!ended)
		return;
	run_hooks(chip, ended);
	mutex_take(&chip->lock);
	ioapic_fire_again(&chip->ioapic, ended);
	mutex_drop(&chip->lock);
}

static void chip_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct irqchip *chip = opaque;

	(void)size;
	mutex_take(&chip->lock);
	const uint32_t ended = ioapic_write(&chip->ioapic, offset, (uint32_t)value);

	mutex_drop(&chip->lock);
	end_interrupts(chip, ended);
}

static const struct bus_ops chip_bus_ops = {.read = chip_read, .write = chip_write};

static void destroy_pins(struct irqchip *chip)
{
	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
		irq_route_destroy(chip->pins[pin]);
		chip->pins[pin] = NULL;
	}
}

static int create_pins(struct irqchip *chip)
{
	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
		const int error = irq_route_create(&chip->router, 0, &chip->pins[pin]);

		if (error) {
			destroy_pins(chip);
			return error;
		}
		irq_route_set_pin(chip->pins[pin], pin);
	}
	return 0;
}

static void init_range(struct irqchip *chip)
{
	chip->range = (struct bus_range){
		.first = LAYOUT_IOAPIC,
		.last = LAYOUT_IOAPIC + LAYOUT_IOAPIC_SIZE - 1,
		.ops = &chip_bus_ops,
		.opaque = chip,
	};
}

int irqchip_create(struct kvm *kvm, struct bus *mmio, struct irqchip **out)
{
	struct irqchip *chip = calloc(1, sizeof(*chip));
	int error;

	if (!chip)
		return -ENOMEM;
	chip->mmio = mmio;
	init_range(chip);
	mutex_init(&chip->lock);
	mutex_init(&chip->hook_lock);
	ioapic_init(&chip->ioapic, &ioapic_ops, chip);
	error = irq_router_init(&chip->router, kvm->vm);
	if (error)
		goto err_chip;
	error = create_pins(chip);
	if (error)
		goto err_router;
	error = bus_add(mmio, &chip->range);
	if (error)
		goto err_pins;
	*out = chip;
	return 0;

err_pins:
	destroy_pins(chip);
err_router:
	irq_router_fini(&chip->router);
err_chip:
	mutex_fini(&chip->hook_lock);
	mutex_fini(&chip->lock);
	free(chip);
	return error;
}

void irqchip_destroy(struct irqchip *chip)
{
	bus_remove(chip->mmio, &chip->range);
	destroy_pins(chip);
	irq_router_fini(&chip->router);
	mutex_fini(&chip->hook_lock);
	mutex_fini(&chip->lock);
	free(chip);
}

void irqchip_set_remapper(struct irqchip *chip, const struct irq_remapper *remapper)
{
	chip->router.remapper = *remapper;
	for (unsigned pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++)
		irq_route_set_requester(chip->pins[pin], remapper->ioapic);
	ioapic_make_remappable(&chip->ioapic);
}

void irqchip_remap_invalidate(struct irqchip *chip, uint32_t first, uint32_t last)
{
	irq_router_invalidate(&chip->router, first, last);
}

void irqchip_remap_commit(struct irqchip *chip)
{
	irq_router_commit(&chip->router);
}

void irqchip_stats(struct irqchip *chip, struct irq_stats *out)
{
	irq_router_stats(&chip->router, out);
}

struct irq_router *irqchip_router(struct irqchip *chip)
{
	return &chip->router;
}

void irq_send(struct irqchip *chip, struct msi_message message)
{
	/* The message is the guest's own: one that reaches no CPU is lost, as on hardware. */
	kvm_irq_send(chip->router.vm, &message);
}

void irq_set_pin(struct irqchip *chip, unsigned gsi, bool level)
{
	if (gsi >= LAYOUT_IOAPIC_PINS)
		return;
	mutex_take(&chip->lock);
	ioapic_set_line(&chip->ioapic, gsi, level);
	mutex_drop(&chip->lock);
}

void irq_eoi(struct irqchip *chip, uint8_t vector)
{
	mutex_take(&chip->lock);
	const uint32_t ended = ioapic_eoi(&chip->ioapic, vector);

	mutex_drop(&chip->lock);
	end_interrupts(chip, ended);
}

int irq_end_hook_add(struct irqchip *chip, struct irq_end_hook *hook)
{
	if (hook->gsi >= LAYOUT_IOAPIC_PINS)
		return -EINVAL;
	mutex_take(&chip->hook_lock);
	hook->next = chip->hooks;
	chip->hooks = hook;
	atomic_fetch_or(&chip->hooked, 1u << hook->gsi); /* partner: run_hooks() */
	mutex_drop(&chip->hook_lock);
	return 0;
}

void irq_end_hook_remove(struct irqchip *chip, struct irq_end_hook *hook)
{
	mutex_take(&chip->hook_lock);
	for (struct irq_end_hook **at = &chip->hooks; *at; at = &(*at)->next) {
		if (*at != hook)
			continue;
		*at = hook->next;
		break;
	}
	mutex_drop(&chip->hook_lock);
}
