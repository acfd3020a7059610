/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/pci.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "vmm/kvm/ram.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"
#include "vmm/wiring/model.h"
#include "vmm/wiring/progress.h"
#include "vmm/wiring/waiting.h"

/* So long a guest may take to load its driver before the operator is told that its devices wait. */
enum { DRIVER_MS = 60000 };

static const struct iommu_model_ops *const models[] = {
	[IOMMU_NONE] = &iommu_none,
	[IOMMU_VIRTIO] = &iommu_virtio,
	[IOMMU_INTEL] = &iommu_intel,
};

struct iommu_wiring {
	struct viommu *v;
	struct iommu_model *model;
	struct viommu_inval *inval;
	void (*fault)(void *opaque, const struct viommu_fault *fault); /* or NULL */
	void *fault_opaque;
	struct registry *registry;
	struct acpi_endpoint *behind; /* as the tables were told */
	struct loop *loop;
	struct progress *progress;
	struct progress_waiter waiter;
	struct loop_work fail_work; /* devices that are noted as failed hear of it on the I/O thread */
	bool boot_bypass;           /* nobody waits for a driver */
	struct waiting *waiting;    /* while the guest runs, where somebody does; or NULL */
};

static void log_line(void *opaque, const char *line)
{
	/* The library's own limit, and its lines about what it leaves out, begin anew with each guest. */
	static struct log_limit limit = {.most = 20};

	(void)opaque;
	if (vmm_log_may(&limit))
		vmm_log("%s", line);
}

static void note_fault(void *opaque, const struct viommu_fault *fault)
{
	const struct iommu_wiring *wiring = opaque;

	wiring->fault(wiring->fault_opaque, fault);
}

/* Noted where the library finds out. The units' own endpoints are no devices. */
static void endpoint_failed(void *opaque, uint32_t endpoint)
{
	struct iommu_wiring *wiring = opaque;

	if (registry_note(wiring->registry, endpoint, REGISTRY_FAILED))
		loop_post(wiring->loop, &wiring->fail_work);
}

static void fail_devices(void *opaque)
{
	struct iommu_wiring *wiring = opaque;

	for (struct registered *entry = NULL; (entry = registry_next(wiring->registry, entry));)
		if (registry_take_note(entry, REGISTRY_FAILED) && entry->dev->ops->failed)
			entry->dev->ops->failed(entry->dev);
}

static void somebody_let_go(void *opaque)
{
	const struct iommu_wiring *wiring = opaque;

	progress_signal(wiring->progress);
}

static void poll_model(void *opaque)
{
	const struct iommu_wiring *wiring = opaque;

	wiring->model->ops->progress(wiring->model);
}

static int add_memory(struct viommu *v, const struct ram *ram)
{
	int err = viommu_mem_add(v, (struct viommu_gpa){0}, ram->low_size, ram->base, ram->fd, 0);

	if (!err && ram->high_size)
		err = viommu_mem_add(v, (struct viommu_gpa){LAYOUT_HIGH_RAM}, ram->high_size, ram->base + ram->low_size,
				     ram->fd, ram->low_size);
	return err;
}

int iommu_wiring_create(const struct iommu_config *config, const struct iommu_machine *machine,
			struct iommu_wiring **out)
{
	struct iommu_wiring *wiring = calloc(1, sizeof(*wiring));
	const struct viommu_config core = {
		.size = sizeof(struct viommu_config),
		.log = log_line,
		.fault = machine->fault ? note_fault : NULL,
		.deadline_ms = IOMMU_DEADLINE_MS,
		.endpoint_failed = endpoint_failed,
		.progress = somebody_let_go,
		.opaque = wiring,
	};
	int err = -ENOMEM;

	if (wiring) {
		wiring->progress = machine->progress;
		err = viommu_create(&core, &wiring->v);
	}
	if (err) {
		free(wiring);
		return err;
	}
	wiring->fault = machine->fault;
	wiring->fault_opaque = machine->opaque;
	wiring->loop = machine->loop;
	wiring->registry = machine->registry;
	wiring->boot_bypass = config->bypass;
	wiring->fail_work = (struct loop_work){.run = fail_devices, .opaque = wiring};
	err = viommu_inval_create(wiring->v, &wiring->inval);
	if (!err)
		err = add_memory(wiring->v, machine->ram);
	if (!err)
		err = models[config->kind]->create(config, machine, wiring->v, &wiring->model);
	if (err) {
		iommu_wiring_destroy(wiring);
		return err;
	}
	wiring->waiter = (struct progress_waiter){.poll = poll_model, .opaque = wiring};
	if (wiring->model->ops->progress)
		progress_add(wiring->progress, &wiring->waiter);
	*out = wiring;
	return 0;
}

void iommu_wiring_destroy(struct iommu_wiring *wiring)
{
	if (wiring->model)
		wiring->model->ops->destroy(wiring->model);
	loop_cancel(wiring->loop, &wiring->fail_work);
	for (struct registered *entry = NULL; (entry = registry_next(wiring->registry, entry));)
		viommu_detach(entry->endpoint, wiring->inval);
	/* The devices are gone, so nothing is in use; what is all the same, the context keeps and frees. */
	viommu_inval_destroy(wiring->inval);
	for (struct registered *entry = NULL; (entry = registry_next(wiring->registry, entry));)
		viommu_endpoint_remove(entry->endpoint);
	viommu_destroy(wiring->v);
	free(wiring->behind);
	free(wiring);
}

/* What the device of the host behind it can map is told to the library, which keeps guest and mirrors to it. */
static int tell_limits(struct pci_dev *dev)
{
	struct viommu_reserved reserved[PCI_LIMIT_RANGES];
	struct pci_limits own = {0};

	if (!dev->ops->narrow)
		return 0;
	dev->ops->narrow(dev, &own);
	for (unsigned i = 0; i < own.count; i++)
		reserved[i] = (struct viommu_reserved){.first = {own.range[i].first}, .last = {own.range[i].last}};
	const struct viommu_endpoint_limits limits = {.size = sizeof(struct viommu_endpoint_limits),
						      .reserved = reserved,
						      .reserved_count = own.count,
						      .page_sizes = own.page_sizes};

	return viommu_endpoint_set_limits(dev->endpoint, &limits);
}

/* What can be taken back comes first: a model may keep an endpoint. */
int iommu_wiring_add_device(struct iommu_wiring *wiring, struct pci_bus *bus, unsigned devfn, struct pci_dev *dev,
			    bool behind, const struct device_config *config)
{
	struct registered entry = {
		.dev = dev, .requester = pci_requester_id(bus, devfn), .behind = behind, .config = config};
	char name[16];

	snprintf(name, sizeof(name), "0000:%02x:%02x.%x", entry.requester >> 8, PCI_SLOT(devfn), PCI_FUNC(devfn));
	int err = viommu_endpoint_add(wiring->v, entry.requester, name, &entry.endpoint);

	if (err)
		return err;
	dev->endpoint = entry.endpoint;
	dev->behind = behind;
	err = tell_limits(dev);
	if (!err)
		err = registry_add(wiring->registry, &entry);
	if (err)
		goto err_endpoint;
	err = pci_bus_add(bus, dev, devfn);
	if (err)
		goto err_entry;
	err = behind ? wiring->model->ops->manage(wiring->model, entry.endpoint)
		     : viommu_bypass(entry.endpoint, wiring->inval);
	if (err)
		goto err_bus;
	return 0;

err_bus:
	pci_bus_remove(dev);
err_entry:
	registry_remove(wiring->registry, entry.requester);
err_endpoint:
	viommu_endpoint_remove(entry.endpoint);
	return err;
}

int iommu_wiring_remove_device(struct iommu_wiring *wiring, struct registered *entry)
{
	struct pci_dev *dev = entry->dev;

	pci_bus_remove(dev);
	if (entry->quiescing || (dev->ops->drain && dev->ops->drain(dev, true)))
		return -EAGAIN;
	dev->ops->destroy(dev);
	int err = entry->behind ? wiring->model->ops->release(wiring->model, entry->endpoint, wiring->inval)
				: viommu_detach(entry->endpoint, wiring->inval);

	viommu_inval_begin(wiring->inval);
	viommu_inval_poll(wiring->inval);
	/* The device is gone, so nothing is in use; what is all the same keeps its requester id until the machine ends.
	 */
	viommu_endpoint_remove(entry->endpoint);
	registry_remove(wiring->registry, entry->requester);
	return err;
}

int iommu_wiring_add_unit(struct iommu_wiring *wiring, const struct virtio_env *env, struct pci_bus *bus)
{
	struct pci_dev *unit;

	if (!wiring->model->ops->create_unit)
		return 0;
	int err = wiring->model->ops->create_unit(wiring->model, env, &unit);

	if (err)
		return err;
	err = iommu_wiring_add_device(wiring, bus, PCI_DEVFN(IOMMU_SLOT, 0), unit, false, NULL);
	if (err)
		unit->ops->destroy(unit);
	return err;
}

static bool model_taken(const void *opaque)
{
	const struct iommu_wiring *wiring = opaque;

	return wiring->model->ops->taken(wiring->model);
}

int iommu_wiring_guest_begins(struct iommu_wiring *wiring)
{
	struct waiting_config config = {
		.loop = wiring->loop,
		.after_ms = DRIVER_MS,
		.taken = model_taken,
		.opaque = wiring,
		.one = wiring->model->ops->one_waits,
		.several = wiring->model->ops->several_wait,
	};

	for (struct registered *entry = NULL; (entry = registry_next(wiring->registry, entry));)
		config.devices += entry->behind;
	return wiring->boot_bypass || !config.devices ? 0 : waiting_create(&config, &wiring->waiting);
}

void iommu_wiring_guest_ends(struct iommu_wiring *wiring)
{
	if (wiring->waiting)
		waiting_end(wiring->waiting);
	waiting_destroy(wiring->waiting);
	wiring->waiting = NULL;
}

struct viommu *iommu_wiring_context(const struct iommu_wiring *wiring)
{
	return wiring->v;
}

bool iommu_wiring_vtd_stats(struct iommu_wiring *wiring, struct viommu_vtd_stats *out)
{
	if (wiring->model->ops->stats)
		wiring->model->ops->stats(wiring->model, out);
	return wiring->model->ops->stats;
}

void iommu_wiring_entering(struct iommu_wiring *wiring)
{
	if (wiring->model->ops->entering)
		wiring->model->ops->entering(wiring->model);
}

bool iommu_wiring_requests(struct iommu_wiring *wiring, struct request_stats *out)
{
	if (wiring->model->ops->requests)
		wiring->model->ops->requests(wiring->model, out);
	return wiring->model->ops->requests;
}

int iommu_wiring_acpi(struct iommu_wiring *wiring, struct acpi_config *acpi)
{
	free(wiring->behind);
	wiring->behind = calloc(registry_count(wiring->registry) + 1, sizeof(*wiring->behind));
	if (!wiring->behind)
		return -ENOMEM;
	acpi->endpoints = wiring->behind;
	acpi->endpoint_count = 0;
	for (struct registered *entry = NULL; (entry = registry_next(wiring->registry, entry));)
		if (entry->behind)
			wiring->behind[acpi->endpoint_count++] =
				(struct acpi_endpoint){entry->requester, entry->requester};
	acpi->virtio_iommu_bdf = -1;
	if (wiring->model->ops->acpi)
		wiring->model->ops->acpi(wiring->model, acpi);
	return 0;
}

bool iommu_tells_maps(enum iommu_kind kind)
{
	return models[kind]->tells_maps;
}
