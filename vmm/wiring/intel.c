/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d units in the machine: registers on the memory bus, interrupts, remapping of all messages. One unit serves the
 * devices that stand behind the IOMMU, and where all do, everything. Where a device does not, interrupt remapping needs
 * a second one that remaps no DMA: it has the interrupts of everything else, the IOAPIC's too.
 *
 * That one's CAP.SAGAW is 0, which tells the guest that it cannot translate: a unit that could would have its devices
 * translated by every guest that uses it, whatever the command line says of them. Not all systems put up with it, so it
 * is there only where it must be.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <viommu/viommu.h>

#include "vmm/irqchip/route.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"
#include "vmm/wiring/intel_page.h"
#include "vmm/wiring/model.h"
#include "vmm/wiring/progress.h"

enum { IQT = 0x88 }; /* the queue's tail (11.4.9) */

enum { REQUESTERS = 1 << 16 };

struct vtd_unit {
	struct intel_model *intel;
	struct viommu_vtd *model;
	struct bus_range range;
};

struct intel_model {
	struct iommu_model base;
	struct iommu_machine machine;
	struct acpi_dmar dmar;
	struct vtd_unit units[LAYOUT_VTD_UNITS];
	unsigned count;
	/*
	 * A bit for each requester id: its interrupts are the first unit's, too. All others are the last one's. Devices
	 * come while others send.
	 */
	_Atomic uint64_t behind[REQUESTERS / 64];
	struct irq_remapper remapper;
	struct intel_page page;         /* of the first unit */
	_Atomic uint64_t notifications; /* writes of its tail that left the guest */
};

static void interrupt(void *opaque, struct viommu_irq_message message)
{
	const struct vtd_unit *unit = opaque;

	irq_send(unit->intel->machine.irqchip, (struct msi_message){message.address, message.data});
}

static void irq_invalidate(void *opaque, uint32_t first, uint32_t last)
{
	const struct vtd_unit *unit = opaque;

	irqchip_remap_invalidate(unit->intel->machine.irqchip, first, last);
}

static void irq_commit(void *opaque)
{
	const struct vtd_unit *unit = opaque;

	irqchip_remap_commit(unit->intel->machine.irqchip);
}

static void pending(void *opaque)
{
	const struct vtd_unit *unit = opaque;

	progress_signal(unit->intel->machine.progress);
}

static void intel_model_progress(struct iommu_model *base)
{
	struct intel_model *intel = (struct intel_model *)base;
	bool more = false;

	for (unsigned i = 0; i < intel->count; i++)
		more |= viommu_vtd_poll(intel->units[i].model) == -EAGAIN;
	if (more)
		progress_await(intel->machine.progress);
}

/* Before the device sends anything. */
static void set_behind(struct intel_model *intel, uint32_t requester, bool behind)
{
	_Atomic uint64_t *word = &intel->behind[requester / 64];
	const uint64_t bit = 1ull << requester % 64;

	if (behind)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	const struct intel_model *intel = opaque;
	/* Partner: set_behind(). */
	const uint64_t word = atomic_load_explicit(&intel->behind[requester / 64], memory_order_relaxed);
	const struct vtd_unit *unit = &intel->units[word >> requester % 64 & 1 ? 0 : intel->count - 1];
	const struct viommu_irq_message request = {in->address, in->data};
	struct viommu_irq_message message;
	int err = viommu_vtd_remap(unit->model, requester, &request, &message, index, report);

	if (err)
		return -EACCES;
	*out = (struct msi_message){message.address, message.data};
	return 0;
}

static const struct irq_remapper_ops remapper_ops = {.remap = remap};

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct vtd_unit *unit = opaque;

	return viommu_vtd_read(unit->model, offset, size);
}

static void registers_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	const struct vtd_unit *unit = opaque;
	struct intel_model *intel = unit->intel;

	viommu_vtd_write(unit->model, offset, value, size);
	if (offset != IQT || unit != intel->units)
		return;
	atomic_fetch_add_explicit(&intel->notifications, 1, memory_order_relaxed);
	intel_page_busy(&intel->page);
}

static const struct bus_ops registers_ops = {.read = registers_read, .write = registers_write};

static int add_unit(struct intel_model *intel, const struct iommu_config *config, struct viommu *v, bool irq_only)
{
	struct vtd_unit *unit = &intel->units[intel->count];
	const uint64_t base = LAYOUT_VTD + intel->count * VIOMMU_VTD_SIZE;
	const struct viommu_vtd_config model = {
		.size = sizeof(struct viommu_vtd_config),
		.aw_bits = config->intel.aw_bits,
		.input_bits = config->input_bits,
		.host_bits = LAYOUT_HOST_BITS,
		.irq_only = irq_only,
		.intremap = config->intremap,
		.eim = config->eim,
		.caching_mode = config->intel.caching_mode && !irq_only,
		.device_iotlb = config->intel.device_iotlb && !irq_only,
		.scalable = config->intel.scalable && !irq_only,
		.interrupt = interrupt,
		.irq_invalidate = irq_invalidate,
		.irq_commit = irq_commit,
		.pending = pending,
		.opaque = unit,
	};
	int err = viommu_vtd_create(v, &model, &unit->model);

	if (err)
		return err;
	unit->intel = intel;
	unit->range = (struct bus_range){base, base + VIOMMU_VTD_SIZE - 1, &registers_ops, unit, 0};
	err = bus_add(intel->machine.mmio, &unit->range);
	if (err)
		viommu_vtd_destroy(unit->model);
	else
		intel->count++;
	return err;
}

static void intel_model_destroy(struct iommu_model *base)
{
	struct intel_model *intel = (struct intel_model *)base;

	intel_page_fini(&intel->page);
	while (intel->count) {
		struct vtd_unit *unit = &intel->units[--intel->count];

		bus_remove(intel->machine.mmio, &unit->range);
		viommu_vtd_destroy(unit->model);
	}
	free(intel);
}

/* Each time that the registers are memory no longer, a KVM without this forgets all that it knows of guest memory. */
static int init_page(struct intel_model *intel, const struct iommu_config *config)
{
	struct kvm *kvm = intel->machine.kvm;
	enum polling_mode mode = config->poll;

	if (!kvm || (mode == POLLING_AUTO && !kvm->slots.forgets_one))
		mode = POLLING_OFF;
	return intel_page_init(&intel->page, intel->units[0].model, LAYOUT_VTD, kvm ? &kvm->slots : NULL,
			       intel->machine.loop, mode);
}

static int intel_model_create(const struct iommu_config *config, const struct iommu_machine *machine, struct viommu *v,
			      struct iommu_model **out)
{
	struct intel_model *intel = calloc(1, sizeof(*intel));

	if (!intel)
		return -ENOMEM;
	intel->base.ops = &iommu_intel;
	intel->machine = *machine;
	intel->dmar =
		(struct acpi_dmar){true, config->intremap, config->eim, config->intel.device_iotlb, machine->others};
	int err = add_unit(intel, config, v, false);

	if (!err && config->intremap && machine->others)
		err = add_unit(intel, config, v, true);
	if (!err)
		err = init_page(intel, config);
	if (err) {
		intel_model_destroy(&intel->base);
		return err;
	}
	intel->remapper = (struct irq_remapper){&remapper_ops, intel, LAYOUT_IOAPIC_RID};
	if (config->intremap)
		irqchip_set_remapper(machine->irqchip, &intel->remapper);
	*out = &intel->base;
	return 0;
}

static int intel_model_manage(struct iommu_model *base, struct viommu_endpoint *endpoint)
{
	struct intel_model *intel = (struct intel_model *)base;
	int err = viommu_vtd_manage(intel->units[0].model, endpoint);

	if (!err)
		set_behind(intel, viommu_endpoint_id(endpoint), true);
	return err;
}

static int intel_model_release(struct iommu_model *base, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	struct intel_model *intel = (struct intel_model *)base;
	int err = viommu_vtd_release(intel->units[0].model, endpoint, inval);

	if (!err)
		set_behind(intel, viommu_endpoint_id(endpoint), false);
	return err;
}

/* True: the guest has switched translation on, at some time. */
static bool intel_model_taken(const struct iommu_model *base)
{
	struct viommu_vtd_stats stats = {.size = sizeof(struct viommu_vtd_stats)};

	viommu_vtd_stats_get(((const struct intel_model *)base)->units[0].model, &stats);
	return stats.enables;
}

/* Of all units together. */
static void intel_model_stats(struct iommu_model *base, struct viommu_vtd_stats *out)
{
	const struct intel_model *intel = (const struct intel_model *)base;

	*out = (struct viommu_vtd_stats){.size = sizeof(struct viommu_vtd_stats)};
	for (unsigned i = 0; i < intel->count; i++) {
		struct viommu_vtd_stats stats = {.size = sizeof(struct viommu_vtd_stats)};

		viommu_vtd_stats_get(intel->units[i].model, &stats);
		out->context_invalidations += stats.context_invalidations;
		out->iotlb_invalidations += stats.iotlb_invalidations;
		out->device_tlb_invalidations += stats.device_tlb_invalidations;
		out->irq_invalidations += stats.irq_invalidations;
		out->waits += stats.waits;
		out->timeouts += stats.timeouts;
		out->faults_recorded += stats.faults_recorded;
		out->faults_lost += stats.faults_lost;
		out->enables += stats.enables;
	}
}

static void intel_model_entering(struct iommu_model *base)
{
	intel_page_settle(&((struct intel_model *)base)->page);
}

static void intel_model_requests(struct iommu_model *base, struct request_stats *out)
{
	struct intel_model *intel = (struct intel_model *)base;
	struct viommu_vtd_stats stats;

	intel_model_stats(base, &stats);
	polling_stats_get(&intel->page.polling, &out->polling);
	out->notifications = atomic_load_explicit(&intel->notifications, memory_order_relaxed);
	out->batches = out->notifications + out->polling.found;
	out->requests = stats.context_invalidations + stats.iotlb_invalidations + stats.device_tlb_invalidations +
			stats.irq_invalidations + stats.waits;
}

static void intel_model_acpi(const struct iommu_model *base, struct acpi_config *acpi)
{
	acpi->dmar = ((const struct intel_model *)base)->dmar;
}

/* Nothing is held up before the guest switches translation on: its devices are not confined, and that is told. */
#define NOT_TRANSLATED " all memory: the guest has not switched VT-d's translation on (Linux: intel_iommu=on)"

const struct iommu_model_ops iommu_intel = {
	.one_waits = "device with iommu=on reaches" NOT_TRANSLATED,
	.several_wait = "devices with iommu=on reach" NOT_TRANSLATED,
	.create = intel_model_create,
	.destroy = intel_model_destroy,
	.manage = intel_model_manage,
	.release = intel_model_release,
	.progress = intel_model_progress,
	.taken = intel_model_taken,
	.stats = intel_model_stats,
	.entering = intel_model_entering,
	.requests = intel_model_requests,
	.acpi = intel_model_acpi,
};
