/* SPDX-License-Identifier: BSD-2-Clause */
/* The block device (virtio 1.2, section 5.2) over a raw file. */
#include "vmm/virtio/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "vmm/util/log.h"

enum { CLASS_STORAGE = 0x018000, BURST = 64, HEADER_SIZE = sizeof(struct virtio_blk_outhdr) };

static struct virtio_blk *blk_of(struct virtio_dev *dev)
{
	return (struct virtio_blk *)((char *)dev - offsetof(struct virtio_blk, dev));
}

static uint64_t blk_features(struct virtio_dev *dev)
{
	uint64_t readonly = blk_of(dev)->image.readonly ? 1ull << VIRTIO_BLK_F_RO : 0;
	uint64_t queues = dev->queue_count > 1 ? 1ull << VIRTIO_BLK_F_MQ : 0;

	return 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_FLUSH | readonly |
	       queues;
}

static void blk_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	/* Header and status take a descriptor each. */
	struct virtio_blk_config config = {
		.capacity = htole64(blk_of(dev)->image.sectors),
		.seg_max = htole32(BLK_QUEUE_SIZE - 2),
		.blk_size = htole32(BLK_SECTOR),
		.num_queues = htole16(dev->queue_count),
	};

	if (offset < sizeof(config))
		memcpy(buffer, (char *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

static void blk_put_free(struct virtio_blk *blk, struct blk_request *request)
{
	request->next = blk->free;
	blk->free = request;
}

/* A name that differs between the disks of a machine and tells nothing of the host. */
static uint8_t get_id(struct virtio_blk *blk, struct viommu_section *section, struct blk_request *request)
{
	char id[VIRTIO_BLK_ID_BYTES] = {0};
	uint64_t room = request->chain.writable_bytes - 1;

	request->to_guest = true;
	snprintf(id, sizeof(id), "viommu-disk-%02x", blk->dev.pci.devfn >> 3);
	request->done = room < sizeof(id) ? room : sizeof(id);
	return vq_copy_out(section, &request->chain, 0, id, request->done) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static void start_data(struct virtio_blk *blk, struct viommu_section *section, struct blk_request *request,
		       uint64_t sector)
{
	const struct vq_chain *chain = &request->chain;
	const uint64_t sectors = blk->image.sectors;

	request->chain_start = request->to_guest ? 0 : HEADER_SIZE;
	request->len = request->to_guest ? chain->writable_bytes - 1 : chain->readable_bytes - HEADER_SIZE;
	/* Whole sectors of the disk, section 5.2.6. */
	if (request->len % BLK_SECTOR || sector > sectors || request->len / BLK_SECTOR > sectors - sector) {
		blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
		return;
	}
	request->file_start = sector * BLK_SECTOR;
	blk_io_step(blk, section, request);
}

static void start_request(struct virtio_blk *blk, struct viommu_section *section, struct blk_request *request)
{
	struct virtio_blk_outhdr header;

	request->flush = request->to_guest = false;
	request->len = request->done = 0;
	if (vq_copy_in(section, &request->chain, 0, &header, sizeof(header))) {
		blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (le32toh(header.type)) {
	case VIRTIO_BLK_T_IN:
		request->to_guest = true;
		start_data(blk, section, request, le64toh(header.sector));
		break;
	case VIRTIO_BLK_T_OUT:
		/* Section 5.2.6.2: such a request fails, and writes nothing. */
		if (blk->image.readonly)
			blk_io_finish(blk, request, VIRTIO_BLK_S_IOERR);
		else
			start_data(blk, section, request, le64toh(header.sector));
		break;
	case VIRTIO_BLK_T_FLUSH:
		request->flush = true;
		blk_io_step(blk, section, request);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_io_finish(blk, request, get_id(blk, section, request));
		break;
	default:
		blk_io_finish(blk, request, VIRTIO_BLK_S_UNSUPP);
	}
}

/* The next chain of a queue, started. 1, 0: there is none, or an error of the ring. */
static int blk_take_one(struct virtio_blk *blk, struct viommu_section *section, unsigned queue)
{
	struct vq *vq = &blk->dev.queues[queue].vq;
	struct blk_request *request = vq->enabled ? blk->free : NULL;
	int ret;

	if (!request)
		return 0;
	blk->free = request->next;
	/* Before it is looked at: what comes after that is told of where it has to be. */
	ret = vq->kicks_refused == blk->polled ? 0 : vq_ask_kicks(vq, section, !blk->polled);
	if (!ret)
		ret = vq_pop(vq, section, &request->chain);
	/* Without room for the status nothing can be answered, section 5.2.6. */
	if (ret == 1 && !request->chain.writable_bytes)
		ret = -EINVAL;
	if (ret <= 0) {
		blk_put_free(blk, request);
		return ret;
	}
	request->queue = queue;
	blk->taken[queue]++;
	blk->started++;
	start_request(blk, section, request);
	return 1;
}

/*
 * Take waiting chains while there are free requests, one of each queue in turn, going on where the last burst ended: no
 * queue waits for another's backlog. 1: a whole burst was taken; 0; or an error of a ring.
 */
static int blk_take_burst(struct virtio_blk *blk, struct viommu_section *section)
{
	unsigned taken = 0, empty = 0;

	/* Without a free request it goes on when one is given back. */
	while (taken < BURST && empty < blk->dev.queue_count && blk->free) {
		int ret = blk_take_one(blk, section, blk->turn);

		if (ret < 0)
			return ret;
		taken += (unsigned)ret;
		empty = ret ? 0 : empty + 1;
		blk->turn = (blk->turn + 1) % blk->dev.queue_count;
	}
	return taken == BURST;
}

/* The status is the last writable byte. A driver that took it away gets its buffer back all the same. */
static int blk_give_back(struct virtio_blk *blk, struct viommu_section *section, const struct blk_request *request)
{
	const struct vq_chain *chain = &request->chain;
	uint32_t written = (uint32_t)(request->to_guest ? request->done : 0) + 1;

	if (vq_copy_out(section, chain, chain->writable_bytes - 1, &request->status, 1))
		written = 0;
	return vq_push(&blk->dev.queues[request->queue].vq, section, chain->head, written);
}

static void blk_forget(struct virtio_blk *blk, struct blk_request *request)
{
	blk->taken[request->queue]--;
	blk_put_free(blk, request);
}

/* Give back what is finished. 0 with a bit for each queue whose driver wants an interrupt, or an error of a ring. */
static int blk_give_back_all(struct virtio_blk *blk, struct viommu_section *section, uint32_t *interrupts)
{
	int ret = 0;

	while (blk->finished && !ret) {
		struct blk_request *request = blk->finished;

		blk->finished = request->next;
		/* The driver of a queue that is being reset does not look at it any more. */
		if (blk->dev.queues[request->queue].vq.enabled)
			ret = blk_give_back(blk, section, request);
		blk_forget(blk, request);
	}
	for (unsigned i = 0; i < blk->dev.queue_count && ret >= 0; i++) {
		if (!blk->dev.queues[i].vq.enabled)
			continue;
		ret = vq_wants_interrupt(&blk->dev.queues[i].vq, section);
		if (ret > 0)
			*interrupts |= 1u << i;
	}
	return ret < 0 ? ret : 0;
}

static void blk_drop_finished(struct virtio_blk *blk)
{
	while (blk->finished) {
		struct blk_request *request = blk->finished;

		blk->finished = request->next;
		blk_forget(blk, request);
	}
}

/* Take and give back in one section; finished requests make room for new ones. */
static void blk_serve(struct virtio_blk *blk)
{
	struct viommu_section section;
	uint32_t interrupts = 0;
	int taken;

	if (virtio_dma_begin(&blk->dev, &section)) {
		if (blk->finished)
			virtio_fail(&blk->dev, "requests cannot be given back: bus mastering is off");
		blk_drop_finished(blk);
		return;
	}
	taken = blk_give_back_all(blk, &section, &interrupts);
	if (!taken)
		taken = blk_take_burst(blk, &section);
	viommu_dma_end(&section);
	blk_io_submit(blk);
	for (unsigned i = 0; i < blk->dev.queue_count; i++)
		if (interrupts >> i & 1)
			virtio_interrupt_queue(&blk->dev, i);
	if (taken < 0)
		virtio_fail(&blk->dev, "a block queue is broken");
	else if (taken || blk->finished)
		loop_post(blk->dev.loop, &blk->kick_work);
}

/* What is reset has nothing in flight any more: the driver may hear of it. */
static void finish_resets(struct virtio_blk *blk)
{
	for (unsigned i = 0; i < blk->dev.queue_count && blk->queue_resets; i++) {
		if (!(blk->queue_resets >> i & 1) || blk->taken[i])
			continue;
		blk->queue_resets &= ~(1u << i);
		virtio_queue_reset_done(&blk->dev, i);
	}
	if (blk->resetting && !blk->in_flight) {
		blk->resetting = false;
		virtio_reset_done(&blk->dev);
	}
}

/* Give back everything in blk->finished, take new requests, or go on with a reset. Outside of sections. */
static void blk_proceed(struct virtio_blk *blk)
{
	if (blk->dev.running)
		blk_serve(blk);
	if (!blk->dev.running)
		blk_drop_finished(blk);
	finish_resets(blk);
}

static void kick_cb(void *opaque)
{
	blk_proceed(opaque);
}

static void ring_cb(void *opaque, uint32_t events)
{
	struct virtio_blk *blk = opaque;

	(void)events;
	if (!blk_io_reap(blk))
		return;
	blk_proceed(blk);
	blk_io_submit(blk);
}

/* A driver that does not know FLUSH cannot ask for it (virtio 1.2, section 5.2.6.2). */
static void blk_start(struct virtio_dev *dev)
{
	bool flush = dev->driver_features >> VIRTIO_BLK_F_FLUSH & 1;

	blk_of(dev)->write_flags = flush ? 0 : RWF_DSYNC;
}

static void blk_kick(struct virtio_dev *dev, unsigned queue)
{
	(void)queue;
	blk_proceed(blk_of(dev));
}

static bool blk_set_polled(struct virtio_dev *dev, bool polled)
{
	blk_of(dev)->polled = polled;
	return true;
}

/* The kernel tells of what it has finished by the eventfd as well, which takes longer. */
static bool blk_look(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);
	const uint64_t before = blk->started;
	const bool finished = io_uring_cq_ready(&blk->ring) && blk_io_reap(blk);

	blk_proceed(blk);
	if (finished)
		blk_io_submit(blk);
	return finished || blk->started != before;
}

/* Until the kernel has let go of every buffer the driver sees the old status; all else goes on. */
static void blk_reset(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	loop_cancel(dev->loop, &blk->kick_work);
	blk->resetting = true;
	blk->queue_resets = 0;
	blk_io_cancel(blk, BLK_ALL_QUEUES);
	blk_proceed(blk);
}

static void blk_queue_reset(struct virtio_dev *dev, unsigned queue)
{
	struct virtio_blk *blk = blk_of(dev);

	blk->queue_resets |= 1u << queue;
	blk_io_cancel(blk, (int)queue);
	blk_proceed(blk);
}

static unsigned blk_drain(struct virtio_dev *dev, bool cancel)
{
	struct virtio_blk *blk = blk_of(dev);

	blk_io_drain(blk);
	if (cancel)
		blk_io_cancel(blk, BLK_ALL_QUEUES);
	return blk->in_flight;
}

static int blk_drain_fd(const struct virtio_dev *dev)
{
	return ((const struct virtio_blk *)((const char *)dev - offsetof(struct virtio_blk, dev)))->ring_fd;
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct virtio_blk *blk = blk_of(dev);

	loop_cancel(dev->loop, &blk->kick_work);
	loop_remove(dev->loop, &blk->ring_watch);
	blk_io_fini(blk);
	virtio_fini(dev);
	blk_image_close(&blk->image);
	free(blk);
}

static const struct virtio_ops blk_ops = {
	.device_id = VIRTIO_ID_BLOCK,
	.class_code = CLASS_STORAGE,
	.queue_size = BLK_QUEUE_SIZE,
	.features = blk_features,
	.config_read = blk_config_read,
	.start = blk_start,
	.kick = blk_kick,
	.set_polled = blk_set_polled,
	.look = blk_look,
	.reset = blk_reset,
	.queue_reset = blk_queue_reset,
	.drain = blk_drain,
	.drain_fd = blk_drain_fd,
	.destroy = blk_destroy,
};

int virtio_blk_check(const struct virtio_disk_config *config)
{
	struct blk_image image;
	int ret = blk_image_open(&image, config->path, config->readonly);

	if (!ret)
		blk_image_close(&image);
	return ret;
}

static int blk_init(struct virtio_blk *blk, const struct virtio_env *env, const struct virtio_disk_config *config)
{
	static struct log_limit limit; /* a guest that restarts again and again has its disks made each time */
	int ret = blk_image_open(&blk->image, config->path, config->readonly);

	if (ret)
		return ret;
	if (blk->image.unlocked && vmm_log_may(&limit))
		vmm_log("disk %s: it cannot be locked against other programs: %s", config->path,
			strerror(-blk->image.unlocked));
	blk->env = *env;
	blk->kick_work = (struct loop_work){.run = kick_cb, .opaque = blk};
	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		blk->requests[i].blk = blk;
		blk_put_free(blk, &blk->requests[i]);
	}
	ret = blk_io_init(blk);
	if (ret)
		goto err_close;
	blk->ring_watch = (struct loop_watch){.fd = blk->ring_fd, .ready = ring_cb, .opaque = blk};
	ret = loop_add(env->loop, &blk->ring_watch, EPOLLIN);
	if (ret)
		goto err_io;
	ret = virtio_init(&blk->dev, &blk_ops, (uint16_t)config->queues, env);
	if (ret)
		goto err_watch;
	return 0;

err_watch:
	loop_remove(env->loop, &blk->ring_watch);
err_io:
	vmm_log("disk %s: %s", config->path, strerror(-ret));
	blk_io_fini(blk);
err_close:
	blk_image_close(&blk->image);
	return ret;
}

int virtio_blk_create(const struct virtio_env *env, const struct virtio_disk_config *config, struct pci_dev **out)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int ret;

	if (!blk)
		return -ENOMEM;
	ret = blk_init(blk, env, config);
	if (ret) {
		free(blk);
		return ret;
	}
	*out = &blk->dev.pci;
	return 0;
}
