/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/vtd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "vmm/config/iommu.h"
#include "vmm/irqchip/route.h"
#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"
#include "vmm/util/loop.h"

/* The global command register, and its bit that switches translation on (11.4.4). */
enum { GCMD = 0x18, GCMD_TE_SHIFT = 31 };

/* While something is pending: sections end within microseconds, disks may take their time. */
enum { RETRY_FIRST_NS = 20000, RETRY_LAST_NS = 5000000 };

struct vtd_unit {
	struct vtd_wiring *wiring;
	struct viommu_vtd *model;
	struct bus_range range;
};

struct vtd_wiring {
	struct vtd_machine machine;
	struct vtd_unit units[LAYOUT_VTD_UNITS];
	unsigned count;
	/* A bit for each slot: its interrupts are the first unit's, too. All others are the last one's. */
	uint32_t behind;
	_Atomic bool taken; /* the guest has switched translation on */
	struct irq_remapper remapper;
	struct loop_work poll_work;
	int retry_fd;
	struct loop_watch retry;
	long retry_ns;
};

static void interrupt(void *opaque, struct viommu_irq_message message)
{
	const struct vtd_unit *unit = opaque;

	irq_send(unit->wiring->machine.irqchip, (struct msi_message){message.address, message.data});
}

static void irq_invalidate(void *opaque, uint32_t first, uint32_t last)
{
	const struct vtd_unit *unit = opaque;

	irqchip_remap_invalidate(unit->wiring->machine.irqchip, first, last);
}

static void irq_commit(void *opaque)
{
	const struct vtd_unit *unit = opaque;

	irqchip_remap_commit(unit->wiring->machine.irqchip);
}

static void pending(void *opaque)
{
	const struct vtd_unit *unit = opaque;

	loop_post(unit->wiring->machine.loop, &unit->wiring->poll_work);
}

static void arm_retry(struct vtd_wiring *wiring)
{
	struct itimerspec time = {.it_value.tv_nsec = wiring->retry_ns};

	timerfd_settime(wiring->retry_fd, 0, &time, NULL);
	if (wiring->retry_ns < RETRY_LAST_NS)
		wiring->retry_ns *= 2;
}

/* Runs when no section of this thread is open. */
void vtd_wiring_progress(struct vtd_wiring *wiring)
{
	bool more = false;

	for (unsigned i = 0; i < wiring->count; i++)
		more |= viommu_vtd_poll(wiring->units[i].model) == -EAGAIN;
	if (more)
		arm_retry(wiring);
}

static void poll_cb(void *opaque)
{
	struct vtd_wiring *wiring = opaque;

	wiring->retry_ns = RETRY_FIRST_NS;
	vtd_wiring_progress(wiring);
}

static void retry_cb(void *opaque, uint32_t events)
{
	struct vtd_wiring *wiring = opaque;
	uint64_t count;

	(void)events;
	if (read(wiring->retry_fd, &count, sizeof(count)) == sizeof(count))
		vtd_wiring_progress(wiring);
}

/* Sources are devices of bus 0, and the IOAPIC on a bus of its own. */
static const struct vtd_unit *unit_of(const struct vtd_wiring *wiring, uint16_t requester)
{
	const bool first = requester < LAYOUT_PCI_SLOTS << 3 && wiring->behind >> (requester >> 3) & 1;

	return &wiring->units[first ? 0 : wiring->count - 1];
}

static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	const struct viommu_irq_message request = {in->address, in->data};
	struct viommu_irq_message message;
	int err = viommu_vtd_remap(unit_of(opaque, requester)->model, requester, &request, &message, index, report);

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

	if (offset == GCMD && value >> GCMD_TE_SHIFT & 1 && unit == unit->wiring->units)
		atomic_store_explicit(&unit->wiring->taken, true,
				      memory_order_relaxed); /* nothing else depends on it */
	viommu_vtd_write(unit->model, offset, value, size);
}

static const struct bus_ops registers_ops = {.read = registers_read, .write = registers_write};

static int add_unit(struct vtd_wiring *wiring, const struct iommu_config *config, struct viommu *v, bool irq_only)
{
	struct vtd_unit *unit = &wiring->units[wiring->count];
	const uint64_t base = LAYOUT_VTD + wiring->count * VIOMMU_VTD_SIZE;
	const struct viommu_vtd_config model = {
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
	unit->wiring = wiring;
	unit->range = (struct bus_range){base, base + VIOMMU_VTD_SIZE - 1, &registers_ops, unit, 0};
	err = bus_add(wiring->machine.mmio, &unit->range);
	if (err)
		viommu_vtd_destroy(unit->model);
	else
		wiring->count++;
	return err;
}

static int init_retry(struct vtd_wiring *wiring)
{
	wiring->poll_work = (struct loop_work){.run = poll_cb, .opaque = wiring};
	wiring->retry_ns = RETRY_FIRST_NS;
	wiring->retry_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wiring->retry_fd < 0)
		return -errno;
	wiring->retry = (struct loop_watch){.fd = wiring->retry_fd, .ready = retry_cb, .opaque = wiring};
	int err = loop_add(wiring->machine.loop, &wiring->retry, EPOLLIN);

	if (err)
		close(wiring->retry_fd);
	return err;
}

int vtd_wiring_create(const struct iommu_config *config, struct viommu *v, const struct vtd_machine *machine,
		      struct vtd_wiring **out)
{
	struct vtd_wiring *wiring = calloc(1, sizeof(*wiring));

	if (!wiring)
		return -ENOMEM;
	wiring->machine = *machine;
	int err = init_retry(wiring);

	if (err) {
		free(wiring);
		return err;
	}
	err = add_unit(wiring, config, v, false);
	if (!err && config->intremap && machine->others)
		err = add_unit(wiring, config, v, true);
	if (err) {
		vtd_wiring_destroy(wiring);
		return err;
	}
	wiring->remapper = (struct irq_remapper){&remapper_ops, wiring, LAYOUT_IOAPIC_RID};
	if (config->intremap)
		irqchip_set_remapper(machine->irqchip, &wiring->remapper);
	*out = wiring;
	return 0;
}

void vtd_wiring_destroy(struct vtd_wiring *wiring)
{
	if (!wiring)
		return;
	loop_cancel(wiring->machine.loop, &wiring->poll_work);
	loop_remove(wiring->machine.loop, &wiring->retry);
	close(wiring->retry_fd);
	while (wiring->count) {
		struct vtd_unit *unit = &wiring->units[--wiring->count];

		bus_remove(wiring->machine.mmio, &unit->range);
		viommu_vtd_destroy(unit->model);
	}
	free(wiring);
}

int vtd_wiring_manage(struct vtd_wiring *wiring, struct viommu_endpoint *endpoint)
{
	int err = viommu_vtd_manage(wiring->units[0].model, endpoint);

	if (!err)
		wiring->behind |= 1u << (viommu_endpoint_id(endpoint) >> 3);
	return err;
}

bool vtd_wiring_taken(const struct vtd_wiring *wiring)
{
	return atomic_load_explicit(&wiring->taken, memory_order_relaxed);
}

void vtd_wiring_stats(struct vtd_wiring *wiring, struct viommu_vtd_stats *out)
{
	*out = (struct viommu_vtd_stats){0};
	for (unsigned i = 0; i < wiring->count; i++) {
		struct viommu_vtd_stats stats;

		viommu_vtd_stats_get(wiring->units[i].model, &stats);
		out->context_invalidations += stats.context_invalidations;
		out->iotlb_invalidations += stats.iotlb_invalidations;
		out->device_tlb_invalidations += stats.device_tlb_invalidations;
		out->irq_invalidations += stats.irq_invalidations;
		out->waits += stats.waits;
		out->timeouts += stats.timeouts;
		out->faults_recorded += stats.faults_recorded;
		out->faults_lost += stats.faults_lost;
	}
}
