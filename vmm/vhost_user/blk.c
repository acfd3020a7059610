/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A block device (virtio 1.2, section 5.2) that a back end serves; its configuration is the back end's but for the
 * number of queues.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/vhost_user/device.h"

#define BIT(feature) (1ull << VIRTIO_BLK_F_##feature)

/* Of the configuration: up to what zoned devices have. */
enum { CLASS_STORAGE = 0x018000, BLK_QUEUE_SIZE = 256, SPACE = 60 };

struct vhost_user_blk {
	struct vhost_user_device device;
	uint8_t space[SPACE]; /* dev.pci.lock */
	struct loop_work write_work;
};

static const uint64_t passed_on = BIT(SIZE_MAX) | BIT(SEG_MAX) | BIT(GEOMETRY) | BIT(RO) | BIT(BLK_SIZE) | BIT(FLUSH) |
				  BIT(TOPOLOGY) | BIT(CONFIG_WCE) | BIT(DISCARD) | BIT(WRITE_ZEROES);

static struct vhost_user_blk *blk_of(struct virtio_dev *dev)
{
	return (struct vhost_user_blk *)vhost_user_device_of(dev);
}

static uint64_t blk_features(struct virtio_dev *dev)
{
	const struct vhost_user_device *device = vhost_user_device_of(dev);

	return (device->features & passed_on) | (device->config.queues > 1 ? BIT(MQ) : 0);
}

static void blk_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	const struct vhost_user_blk *blk = blk_of(dev);

	if (offset < SPACE)
		memcpy(buffer, blk->space + offset, len < SPACE - offset ? len : SPACE - offset);
}

/* Only the write cache can be switched (section 5.2.5). */
static void blk_config_write(struct virtio_dev *dev, uint32_t offset, const void *buffer, uint32_t len)
{
	struct vhost_user_blk *blk = blk_of(dev);

	if (offset != offsetof(struct virtio_blk_config, wce) || len != 1)
		return;
	memcpy(blk->space + offset, buffer, 1);
	loop_post(dev->loop, &blk->write_work);
}

static void write_wce(void *opaque)
{
	struct vhost_user_blk *blk = opaque;
	struct virtio_dev *dev = &blk->device.dev;
	const unsigned offset = offsetof(struct virtio_blk_config, wce);
	uint8_t wce;

	mutex_take(&dev->pci.lock);
	wce = blk->space[offset];
	mutex_drop(&dev->pci.lock);
	/* Without a back end the next one's word counts. */
	viommu_vhu_config_write(blk->device.session.front, offset, &wce, 1);
}

/* Without an indirect table a request has no more segments than the ring has room for, with its header and its status.
 */
static void clamp_segments(uint8_t *space)
{
	uint8_t *at = space + offsetof(struct virtio_blk_config, seg_max);
	const uint32_t most = htole32(BLK_QUEUE_SIZE - 2);
	uint32_t own;

	memcpy(&own, at, sizeof(own));
	if (le32toh(own) > BLK_QUEUE_SIZE - 2)
		memcpy(at, &most, sizeof(most));
}

/* True: it is another one. */
static bool take_space(struct vhost_user_blk *blk)
{
	struct virtio_dev *dev = &blk->device.dev;
	const uint16_t queues = htole16((uint16_t)blk->device.config.queues);
	uint8_t space[SPACE];
	bool changed;

	if (viommu_vhu_config_read(blk->device.session.front, 0, space, SPACE))
		return false;
	memcpy(space + offsetof(struct virtio_blk_config, num_queues), &queues, sizeof(queues));
	clamp_segments(space);
	mutex_take(&dev->pci.lock);
	changed = memcmp(blk->space, space, SPACE) != 0;
	memcpy(blk->space, space, SPACE);
	mutex_drop(&dev->pci.lock);
	return changed;
}

static void config_changed(void *opaque)
{
	struct vhost_user_blk *blk = opaque;

	if (take_space(blk))
		virtio_config_changed(&blk->device.dev);
}

static int blk_placed(struct virtio_dev *dev)
{
	int ret = vhost_user_device_placed(dev);

	if (!ret)
		take_space(blk_of(dev));
	return ret;
}

static void blk_start(struct virtio_dev *dev)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);

	vhost_user_device_start(device, device->config.queues, device->config.queues);
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct vhost_user_blk *blk = blk_of(dev);

	loop_cancel(dev->loop, &blk->write_work);
	vhost_user_device_fini(&blk->device);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.device_id = VIRTIO_ID_BLOCK,
	.class_code = CLASS_STORAGE,
	.queue_size = BLK_QUEUE_SIZE,
	.features = blk_features,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.start = blk_start,
	.kick = vhost_user_device_kick,
	.reset = vhost_user_device_reset,
	.placed = blk_placed,
	.failed = vhost_user_device_failed,
	.ats_enabled = vhost_user_device_ats_enabled,
	.drain = vhost_user_device_drain,
	.drain_fd = vhost_user_device_drain_fd,
	.iotlb_stats = vhost_user_device_iotlb_stats,
	.destroy = blk_destroy,
};

/* Back ends report fewer bytes than they write; the status is the last of them. */
static const struct shadow_config shadow = {.copy_all = true, .failed_status = VIRTIO_BLK_S_IOERR};

static const struct vhost_user_session_ops session_ops = {
	.started = vhost_user_device_started,
	.stopped = vhost_user_device_stopped,
	.lost = vhost_user_device_lost,
	.config_changed = config_changed,
	.broken = vhost_user_device_broken,
};

int vhost_user_blk_create(const struct virtio_env *env, const struct vhost_user_config *config, struct pci_dev **out)
{
	struct vhost_user_blk *blk = calloc(1, sizeof(*blk));
	int ret;

	if (!blk)
		return -ENOMEM;
	blk->write_work = (struct loop_work){.run = write_wce, .opaque = blk};
	blk->device.session.what = "disk";
	blk->device.config = (struct viommu_vhu_config){
		.size = sizeof(struct viommu_vhu_config),
		.features = passed_on | BIT(MQ) | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |
			    1ull << VIRTIO_RING_F_EVENT_IDX,
		.queues = config->queues,
		.config_size = SPACE,
		.exact = true,
	};
	ret = vhost_user_device_init(&blk->device, &blk_ops, (uint16_t)config->queues, env, config, &session_ops,
				     &shadow);
	if (ret)
		free(blk);
	else
		*out = &blk->device.dev.pci;
	return ret;
}
