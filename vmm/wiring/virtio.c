/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio-iommu in the machine: its model, and the PCI function that carries its queues. */
#include <errno.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "vmm/pci/bus.h"
#include "vmm/virtio/virtio.h"
#include "vmm/wiring/model.h"
#include "vmm/wiring/progress.h"

struct virtio_model {
	struct iommu_model base;
	struct viommu_virtio *model;
	struct pci_dev *unit; /* or NULL */
	struct progress *progress;
	enum polling_mode poll;
};

static void event_ready(void *opaque)
{
	const struct virtio_model *virtio = opaque;

	if (virtio->unit)
		virtio_iommu_event(virtio->unit);
}

enum { RESV_MAX = 1 + KEY_RANGES_MAX };

/* The MSI window, and what the command line reserves: for all devices; returns how many. */
static size_t reserved_regions(const struct iommu_config *config, struct viommu_reserved out[RESV_MAX])
{
	const struct key_range msi = iommu_config_msi(config);
	size_t count = 0;

	out[count++] = (struct viommu_reserved){{msi.first}, {msi.last}, true};
	for (unsigned i = 0; i < config->resv.count; i++)
		out[count++] =
			(struct viommu_reserved){{config->resv.range[i].first}, {config->resv.range[i].last}, false};
	return count;
}

/* Pages that the host's devices can map, too. 0: the model's default. */
static uint64_t page_sizes(const struct iommu_config *config, const struct pci_limits *limits)
{
	const uint64_t smallest = limits->page_sizes & -limits->page_sizes;

	if (!smallest)
		return config->page_size_mask;
	return (config->page_size_mask ? config->page_size_mask : UINT64_MAX) & ~(smallest - 1);
}

static int virtio_model_create(const struct iommu_config *config, const struct iommu_machine *machine, struct viommu *v,
			       struct iommu_model **out)
{
	struct viommu_reserved resv[RESV_MAX];
	struct virtio_model *virtio = calloc(1, sizeof(*virtio));
	const struct viommu_virtio_config model = {
		.size = sizeof(struct viommu_virtio_config),
		.input_bits = config->input_bits,
		.page_size_mask = page_sizes(config, &machine->limits),
		.bypass = config->bypass,
		.legacy_bypass = config->legacy_bypass,
		.resv = resv,
		.resv_count = reserved_regions(config, resv),
		/* Each region that is reserved for all cuts one of a device into two at most. */
		.resv_room = machine->most_ranges ? machine->most_ranges + 1 + config->resv.count : 0,
		.event_ready = event_ready,
		.opaque = virtio,
	};
	int err = virtio ? viommu_virtio_create(v, &model, &virtio->model) : -ENOMEM;

	if (err) {
		free(virtio);
		return err;
	}
	virtio->base.ops = &iommu_virtio;
	virtio->progress = machine->progress;
	virtio->poll = config->poll;
	*out = &virtio->base;
	return 0;
}

static void virtio_model_destroy(struct iommu_model *base)
{
	struct virtio_model *virtio = (struct virtio_model *)base;

	viommu_virtio_destroy(virtio->model);
	free(virtio);
}

static void model_waits(void *opaque)
{
	const struct virtio_model *virtio = opaque;

	progress_await(virtio->progress);
}

static int virtio_model_create_unit(struct iommu_model *base, const struct virtio_env *env, struct pci_dev **out)
{
	struct virtio_model *virtio = (struct virtio_model *)base;
	int err = virtio_iommu_create(env, virtio->model, virtio->poll, model_waits, virtio, out);

	if (!err)
		virtio->unit = *out;
	return err;
}

static int virtio_model_manage(struct iommu_model *base, struct viommu_endpoint *endpoint)
{
	return viommu_virtio_manage(((struct virtio_model *)base)->model, endpoint);
}

static int virtio_model_release(struct iommu_model *base, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	return viommu_virtio_release(((struct virtio_model *)base)->model, endpoint, inval);
}

static void virtio_model_progress(struct iommu_model *base)
{
	struct virtio_model *virtio = (struct virtio_model *)base;

	if (virtio->unit)
		virtio_iommu_progress(virtio->unit);
}

static bool virtio_model_taken(const struct iommu_model *base)
{
	return virtio_iommu_taken(((const struct virtio_model *)base)->unit);
}

static void virtio_model_requests(struct iommu_model *base, struct request_stats *out)
{
	virtio_iommu_stats_get(((struct virtio_model *)base)->unit, out);
}

static void virtio_model_acpi(const struct iommu_model *base, struct acpi_config *acpi)
{
	const struct pci_dev *unit = ((const struct virtio_model *)base)->unit;

	acpi->virtio_iommu_bdf = pci_requester_id(unit->bus, unit->devfn);
}

#define NO_DRIVER                                                                                                      \
	" behind the virtio-iommu, which no driver of the guest has taken; where its kernel has the driver as a "      \
	"module, the initrd needs virtio-iommu"

const struct iommu_model_ops iommu_virtio = {
	.tells_maps = true,
	.one_waits = "device waits" NO_DRIVER,
	.several_wait = "devices wait" NO_DRIVER,
	.create = virtio_model_create,
	.destroy = virtio_model_destroy,
	.create_unit = virtio_model_create_unit,
	.manage = virtio_model_manage,
	.release = virtio_model_release,
	.progress = virtio_model_progress,
	.taken = virtio_model_taken,
	.requests = virtio_model_requests,
	.acpi = virtio_model_acpi,
};
