/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "vmm/kvm/ram.h"
#include "vmm/pci/pci.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/virtio.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/vtd.h"
#include "vmm/wiring/waiting.h"

/* Linux waits for a VT-d command for ten seconds, and longer for everything else. */
enum { DEADLINE_MS = 5000 };

/* So long a guest may take to load its driver before the operator is told that its devices wait. */
enum { DRIVER_MS = 60000 };

struct iommu_wiring {
	struct viommu *v;
	struct viommu_virtio *model; /* or NULL */
	struct vtd_wiring *vtd;      /* or NULL */
	struct pci_dev *unit;        /* the model's PCI function, or NULL */
	struct viommu_inval *inval;
	void (*fault)(void *opaque, const struct viommu_fault *fault); /* or NULL */
	void *fault_opaque;
	struct viommu_endpoint *endpoints[LAYOUT_PCI_SLOTS];
	unsigned count;
	struct acpi_endpoint behind[LAYOUT_PCI_SLOTS];
	size_t behind_count;
	/* Devices that held on to memory for too long: noted where the library finds out, failed on the I/O thread. */
	struct pci_dev *devices[LAYOUT_PCI_SLOTS]; /* by slot */
	_Atomic uint32_t failed;                   /* a bit for each slot */
	struct loop *loop;
	struct loop_work fail_work;
	bool boot_bypass;        /* nobody waits for a driver */
	struct waiting *waiting; /* while the guest runs, where somebody does; or NULL */
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

static void endpoint_failed(void *opaque, uint32_t endpoint)
{
	struct iommu_wiring *wiring = opaque;

	/* The units' own endpoints are no devices. */
	if (endpoint >> 3 >= LAYOUT_PCI_SLOTS)
		return;
	atomic_fetch_or(&wiring->failed, 1u << (endpoint >> 3));
	loop_post(wiring->loop, &wiring->fail_work);
}

static void fail_devices(void *opaque)
{
	struct iommu_wiring *wiring = opaque;
	uint32_t failed = atomic_exchange(&wiring->failed, 0);

	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++) {
		struct pci_dev *dev = wiring->devices[slot];

		if (failed >> slot & 1 && dev && dev->ops->failed)
			dev->ops->failed(dev);
	}
}

static void event_ready(void *opaque)
{
	struct iommu_wiring *wiring = opaque;

	if (wiring->unit)
		virtio_iommu_event(wiring->unit);
}

void iommu_wiring_hold_released(void *opaque)
{
	struct iommu_wiring *wiring = opaque;

	if (wiring->unit)
		virtio_iommu_progress(wiring->unit);
	if (wiring->vtd)
		vtd_wiring_progress(wiring->vtd);
}

static int add_memory(struct viommu *v, const struct ram *ram)
{
	int err = viommu_mem_add(v, (struct viommu_gpa){0}, ram->low_size, ram->base, ram->fd, 0);

	if (!err && ram->high_size)
		err = viommu_mem_add(v, (struct viommu_gpa){LAYOUT_HIGH_RAM}, ram->high_size, ram->base + ram->low_size,
				     ram->fd, ram->low_size);
	return err;
}

/* The MSI window, then what the command line reserves; returns how many. */
static size_t reserved_regions(const struct iommu_config *config, struct viommu_virtio_resv *out)
{
	const struct key_range msi = iommu_config_msi(config);
	size_t count = 0;

	out[count++] = (struct viommu_virtio_resv){msi.first, msi.last, true};
	for (unsigned i = 0; i < config->resv.count; i++)
		out[count++] =
			(struct viommu_virtio_resv){config->resv.range[i].first, config->resv.range[i].last, false};
	return count;
}

static int create_virtio(struct iommu_wiring *wiring, const struct iommu_config *config)
{
	struct viommu_virtio_resv resv[KEY_RANGES_MAX + 1];
	const struct viommu_virtio_config model = {
		.input_bits = config->input_bits,
		.page_size_mask = config->page_size_mask,
		.bypass = config->bypass,
		.legacy_bypass = config->legacy_bypass,
		.resv = resv,
		.resv_count = reserved_regions(config, resv),
		.event_ready = event_ready,
		.opaque = wiring,
	};

	return viommu_virtio_create(wiring->v, &model, &wiring->model);
}

static int create_model(struct iommu_wiring *wiring, const struct iommu_config *config,
			const struct iommu_machine *machine)
{
	const struct vtd_machine vtd = {machine->loop, machine->mmio, machine->irqchip, machine->others};

	switch (config->kind) {
	case IOMMU_VIRTIO:
		return create_virtio(wiring, config);
	case IOMMU_INTEL:
		return vtd_wiring_create(config, wiring->v, &vtd, &wiring->vtd);
	case IOMMU_NONE:
		return 0;
	}
	return -EINVAL;
}

int iommu_wiring_create(const struct iommu_config *config, const struct iommu_machine *machine,
			struct iommu_wiring **out)
{
	struct iommu_wiring *wiring = calloc(1, sizeof(*wiring));
	const struct viommu_config core = {
		.log = log_line,
		.fault = machine->fault ? note_fault : NULL,
		.deadline_ms = DEADLINE_MS,
		.endpoint_failed = endpoint_failed,
		.opaque = wiring,
	};
	int err = wiring ? viommu_create(&core, &wiring->v) : -ENOMEM;

	if (err) {
		free(wiring);
		return err;
	}
	wiring->fault = machine->fault;
	wiring->fault_opaque = machine->opaque;
	wiring->loop = machine->loop;
	wiring->boot_bypass = config->bypass;
	wiring->fail_work = (struct loop_work){.run = fail_devices, .opaque = wiring};
	err = viommu_inval_create(wiring->v, &wiring->inval);
	if (!err)
		err = add_memory(wiring->v, machine->ram);
	if (!err)
		err = create_model(wiring, config, machine);
	if (err) {
		iommu_wiring_destroy(wiring);
		return err;
	}
	*out = wiring;
	return 0;
}

void iommu_wiring_destroy(struct iommu_wiring *wiring)
{
	viommu_virtio_destroy(wiring->model);
	vtd_wiring_destroy(wiring->vtd);
	loop_cancel(wiring->loop, &wiring->fail_work);
	for (unsigned i = 0; i < wiring->count; i++)
		viommu_detach(wiring->endpoints[i], wiring->inval);
	/* The devices are gone, so nothing is in use; what is all the same, the context keeps and frees. */
	viommu_inval_destroy(wiring->inval);
	for (unsigned i = 0; i < wiring->count; i++)
		viommu_endpoint_remove(wiring->endpoints[i]);
	viommu_destroy(wiring->v);
	free(wiring);
}

static uint32_t requester_id(unsigned slot)
{
	return slot << 3;
}

static int manage(struct iommu_wiring *wiring, struct viommu_endpoint *endpoint)
{
	return wiring->vtd ? vtd_wiring_manage(wiring->vtd, endpoint) : viommu_virtio_manage(wiring->model, endpoint);
}

static int add_endpoint(struct iommu_wiring *wiring, unsigned slot, bool behind, struct viommu_endpoint **out)
{
	char name[16];

	snprintf(name, sizeof(name), "0000:00:%02x.0", slot & (LAYOUT_PCI_SLOTS - 1));
	int err = viommu_endpoint_add(wiring->v, requester_id(slot), name, out);

	if (err)
		return err;
	err = behind ? manage(wiring, *out) : viommu_bypass(*out, wiring->inval);
	if (err) {
		viommu_endpoint_remove(*out);
		return err;
	}
	wiring->endpoints[wiring->count++] = *out;
	if (behind)
		wiring->behind[wiring->behind_count++] =
			(struct acpi_endpoint){(uint16_t)requester_id(slot), requester_id(slot)};
	return 0;
}

int iommu_wiring_add_device(struct iommu_wiring *wiring, struct pci_root *root, struct pci_dev *dev, unsigned slot,
			    bool behind)
{
	int err = add_endpoint(wiring, slot, behind, &dev->endpoint);

	dev->behind = behind;
	if (!err)
		err = pci_root_add(root, dev, slot);
	if (!err)
		wiring->devices[slot] = dev;
	return err;
}

int iommu_wiring_add_unit(struct iommu_wiring *wiring, const struct virtio_env *env, struct pci_root *root)
{
	struct pci_dev *unit;
	int err = virtio_iommu_create(env, wiring->model, &unit);

	if (err)
		return err;
	err = iommu_wiring_add_device(wiring, root, unit, IOMMU_SLOT, false);
	if (err)
		unit->ops->destroy(unit);
	else
		wiring->unit = unit;
	return err;
}

static bool unit_taken(const void *opaque)
{
	const struct iommu_wiring *wiring = opaque;

	return wiring->vtd ? vtd_wiring_taken(wiring->vtd) : virtio_iommu_taken(wiring->unit);
}

#define NO_DRIVER                                                                                                      \
	" behind the virtio-iommu, which no driver of the guest has taken; where its kernel has the driver as a "      \
	"module, the initrd needs virtio-iommu"
#define NOT_TRANSLATED " all memory: the guest has not switched VT-d's translation on (Linux: intel_iommu=on)"

/*
 * Behind VT-d nothing is held up before the guest switches translation on: it is not confined, and that is what is
 * told.
 */
int iommu_wiring_guest_begins(struct iommu_wiring *wiring)
{
	const struct waiting_config config = {
		.loop = wiring->loop,
		.after_ms = DRIVER_MS,
		.taken = unit_taken,
		.opaque = wiring,
		.devices = (unsigned)wiring->behind_count,
		.one = wiring->vtd ? "device with iommu=on reaches" NOT_TRANSLATED : "device waits" NO_DRIVER,
		.several = wiring->vtd ? "devices with iommu=on reach" NOT_TRANSLATED : "devices wait" NO_DRIVER,
	};

	return wiring->boot_bypass || !wiring->behind_count ? 0 : waiting_create(&config, &wiring->waiting);
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
	if (wiring->vtd)
		vtd_wiring_stats(wiring->vtd, out);
	return wiring->vtd;
}

size_t iommu_wiring_endpoints(const struct iommu_wiring *wiring, const struct acpi_endpoint **out)
{
	*out = wiring->behind;
	return wiring->behind_count;
}
