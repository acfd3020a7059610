/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio-iommu device: made, given endpoints, destroyed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/model/virtio_iommu/model.h"
#include "lib/util/sized.h"

enum { GRANULE_MIN = 4096, INPUT_BITS_MIN = 32, INPUT_BITS_MAX = 64 };

static uint64_t page_size_mask(const struct viommu_virtio_config *config)
{
	return config->page_size_mask ? config->page_size_mask : ~(uint64_t)(GRANULE_MIN - 1);
}

static struct range input_range(const struct viommu_virtio_config *config)
{
	return (struct range){0, UINT64_MAX >> (config->input_bits ? INPUT_BITS_MAX - config->input_bits : 0)};
}

static bool resv_valid(const struct viommu_virtio_config *config)
{
	uint64_t granule = vio_granule(page_size_mask(config));
	unsigned msi = 0;

	if (config->resv_count > VIO_RESV_MAX || config->resv_room > VIO_RESV_ROOM_MAX)
		return false;
	for (size_t i = 0; i < config->resv_count; i++) {
		struct range region = vio_resv_range(&config->resv[i]);

		if (region.first > region.last || !range_aligned(region, granule))
			return false;
		for (size_t j = 0; j < i; j++)
			if (range_overlaps(region, vio_resv_range(&config->resv[j])))
				return false;
		msi += config->resv[i].msi;
	}
	return msi <= 1;
}

static bool config_valid(const struct viommu_virtio_config *config)
{
	if (config->input_bits && (config->input_bits < INPUT_BITS_MIN || config->input_bits > INPUT_BITS_MAX))
		return false;
	/* The granule fits into the input range, or the driver could never map anything. */
	if (config->page_size_mask & (GRANULE_MIN - 1) ||
	    !range_aligned(input_range(config), vio_granule(page_size_mask(config))))
		return false;
	return config->domain_first <= config->domain_last && !(config->bypass && config->legacy_bypass) &&
	       resv_valid(config);
}

static void take_config(struct viommu_virtio *dev, const struct viommu_virtio_config *config) NO_OTHER_THREAD
{
	dev->input = input_range(config);
	dev->page_size_mask = page_size_mask(config);
	dev->domain_first = config->domain_first;
	dev->domain_last = config->domain_first || config->domain_last ? config->domain_last : UINT32_MAX;
	dev->legacy_bypass = config->legacy_bypass;
	dev->resv_room = config->resv_room;
	dev->bypass = (struct vio_bypass){config->bypass, config->bypass, config->bypass, config->bypass};
	dev->event_ready = config->event_ready;
	dev->opaque = config->opaque;
}

static int copy_resv(struct viommu_virtio *dev, const struct viommu_virtio_config *config)
{
	size_t size = config->resv_count * sizeof(*config->resv);

	if (!size)
		return 0;
	dev->resv = malloc(size);
	if (!dev->resv)
		return -ENOMEM;
	memcpy(dev->resv, config->resv, size);
	dev->resv_count = config->resv_count;
	return 0;
}

static void device_free(struct viommu_virtio *dev) NO_OTHER_THREAD
{
	viommu_inval_destroy(dev->side);
	for (size_t i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
		viommu_inval_destroy(dev->batches[i].inval);
	free(dev->endpoints);
	free(dev->resv);
	lock_fini(&dev->events.lock);
	lock_fini(&dev->lock);
	free(dev);
}

static int create_batches(struct viommu_virtio *dev) NO_OTHER_THREAD
{
	for (size_t i = 0; i < VIOMMU_VIRTIO_BATCHES; i++) {
		struct vio_batch *batch = &dev->batches[i];
		int err = viommu_inval_create(dev->v, &batch->inval);

		if (err)
			return err;
		batch->dev = dev;
		viommu__inval_on_failure(batch->inval, vio_request_failed, batch);
	}
	dev->inval = dev->batches[0].inval;
	return 0;
}

int viommu_virtio_create(struct viommu *v, const struct viommu_virtio_config *given, struct viommu_virtio **out)
{
	struct viommu_virtio_config own;
	const struct viommu_virtio_config *config = &own;
	int err = sized_take(&own, sizeof(own), given);

	if (err || !config_valid(config))
		return err ? err : -EINVAL;
	struct viommu_virtio *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	dev->v = v;
	lock_init(&dev->lock);
	lock_init(&dev->events.lock);
	take_config(dev, config);
	err = copy_resv(dev, config);
	if (!err)
		err = create_batches(dev);
	if (!err)
		err = viommu_inval_create(v, &dev->side);
	if (err) {
		device_free(dev);
		return err;
	}
	*out = dev;
	return 0;
}

/* Nobody uses the devices any more, so this does not wait in practice; it makes sure. */
static void drain(struct viommu_virtio *dev) NO_OTHER_THREAD
{
	/* Twice: a change of `bypass` may begin when the one before it is complete. */
	for (unsigned turns = 0; turns < 2 && viommu_virtio_poll(dev); turns++) {
		for (size_t i = 0; i < VIOMMU_VIRTIO_BATCHES; i++)
			viommu__inval_settle(dev->batches[i].inval);
		viommu__inval_settle(dev->side);
	}
	viommu_virtio_poll(dev);
}

void viommu_virtio_destroy(struct viommu_virtio *dev) NO_OTHER_THREAD
{
	if (!dev)
		return;
	drain(dev);
	dev->bypass.initial = false;
	viommu_virtio_reset(dev, true);
	drain(dev);
	for (size_t i = 0; i < dev->endpoint_count; i++)
		viommu__endpoint_set_sink(dev->endpoints[i].core, NULL, NULL);
	device_free(dev);
}

static int device_manage_locked(struct viommu_virtio *dev, struct viommu_endpoint *core) REQUIRES(dev->lock)
{
	size_t count = dev->endpoint_count + 1;
	struct vio_endpoint *endpoints = realloc(dev->endpoints, count * sizeof(*endpoints));

	if (!endpoints)
		return -ENOMEM;
	dev->endpoints = endpoints;
	endpoints[count - 1] = (struct vio_endpoint){.core = core};
	/* Resets and changes of `bypass` move every endpoint and must not fail: it leaves a domain, its mirrors enter
	 * one. */
	if (viommu__inval_room(dev->inval, 2 * count) || viommu__inval_room(dev->side, 2 * count))
		return -ENOMEM;
	int err = viommu__endpoint_set_sink(core, vio_event_sink, dev);

	if (err)
		return err;
	/* Its limits do not change any more. */
	err = vio_probe_fits(dev, core) ? 0 : -ENOSPC;
	if (!err)
		err = vio_set_unattached(dev, &endpoints[count - 1], dev->inval);
	if (err)
		viommu__endpoint_set_sink(core, NULL, NULL);
	else
		dev->endpoint_count = count;
	return err;
}

int viommu_virtio_manage(struct viommu_virtio *dev, struct viommu_endpoint *endpoint)
{
	lock_take(&dev->lock);
	int err = device_manage_locked(dev, endpoint);

	lock_drop(&dev->lock);
	return err;
}

static int device_release_locked(struct viommu_virtio *dev, struct viommu_endpoint *core, struct viommu_inval *inval)
	REQUIRES(dev->lock)
{
	struct vio_endpoint *endpoint = vio_endpoint_find(dev, viommu_endpoint_id(core));
	int err = endpoint && endpoint->core == core ? viommu__endpoint_release(core, inval) : -ENOENT;

	if (err)
		return err;
	if (endpoint->domain)
		vio_leave(dev, endpoint);
	*endpoint = dev->endpoints[--dev->endpoint_count];
	return 0;
}

int viommu_virtio_release(struct viommu_virtio *dev, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	lock_take(&dev->lock);
	int err = device_release_locked(dev, endpoint, inval);

	lock_drop(&dev->lock);
	return err;
}
