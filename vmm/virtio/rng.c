/* SPDX-License-Identifier: BSD-2-Clause */
/* The entropy device (virtio 1.2, section 5.4): each buffer gets some of the kernel's random bytes. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/util/log.h"
#include "vmm/virtio/virtio.h"

/*
 * Bounds of one burst; the other devices come before the next. A driver gets less than it asked for where it asks for
 * much, which section 5.4.6.2 allows.
 */
enum { CLASS_OTHER = 0xff0000, RNG_QUEUE_SIZE = 64, BURST = 16, BYTES_MAX = 1024 };

struct virtio_rng {
	struct virtio_dev dev;
	struct loop_work more; /* chains wait in the ring */
	struct vq_chain chain;
	uint8_t bytes[BYTES_MAX];
};

static struct virtio_rng *rng_of(struct virtio_dev *dev)
{
	return (struct virtio_rng *)((char *)dev - offsetof(struct virtio_rng, dev));
}

/* One chain filled and given back. 1, 0: there is none, -EAGAIN: no random bytes now, or an error of the ring. */
static int fill_one(struct virtio_rng *rng, struct viommu_section *section)
{
	struct vq *vq = &rng->dev.queues[0].vq;
	int ret = vq_pop(vq, section, &rng->chain);

	if (ret <= 0)
		return ret;
	size_t wanted = rng->chain.writable_bytes < BYTES_MAX ? rng->chain.writable_bytes : BYTES_MAX;
	ssize_t len = wanted ? getrandom(rng->bytes, wanted, GRND_NONBLOCK) : 0;

	if (len < 0) {
		vq_unpop(vq);
		return -EAGAIN;
	}
	if (vq_copy_out(section, &rng->chain, 0, rng->bytes, (size_t)len))
		len = 0;
	ret = vq_push(vq, section, rng->chain.head, (uint32_t)len);
	return ret ? ret : 1;
}

static void rng_serve(void *opaque)
{
	struct virtio_rng *rng = opaque;
	struct viommu_section section;
	int ret = 1, interrupt;

	if (!rng->dev.running || !rng->dev.queues[0].vq.enabled || virtio_dma_begin(&rng->dev, &section))
		return;
	for (unsigned i = 0; i < BURST && ret > 0; i++)
		ret = fill_one(rng, &section);
	interrupt = vq_wants_interrupt(&rng->dev.queues[0].vq, &section);
	viommu_dma_end(&section);
	if (interrupt > 0)
		virtio_interrupt_queue(&rng->dev, 0);
	if (interrupt < 0 || (ret < 0 && ret != -EAGAIN))
		virtio_fail(&rng->dev, "the queue is broken");
	else if (ret)
		loop_post(rng->dev.loop, &rng->more);
}

static void rng_kick(struct virtio_dev *dev, unsigned queue)
{
	(void)queue;
	rng_serve(rng_of(dev));
}

static void rng_reset(struct virtio_dev *dev)
{
	loop_cancel(dev->loop, &rng_of(dev)->more);
	virtio_reset_done(dev);
}

static void rng_destroy(struct virtio_dev *dev)
{
	struct virtio_rng *rng = rng_of(dev);

	loop_cancel(dev->loop, &rng->more);
	virtio_fini(dev);
	explicit_bzero(rng->bytes, sizeof(rng->bytes));
	free(rng);
}

static const struct virtio_ops rng_ops = {
	.device_id = VIRTIO_ID_RNG,
	.class_code = CLASS_OTHER,
	.queue_size = RNG_QUEUE_SIZE,
	.kick = rng_kick,
	.reset = rng_reset,
	.queue_reset = virtio_queue_reset_done,
	.destroy = rng_destroy,
};

int virtio_rng_check(void)
{
	uint8_t byte;

	if (getrandom(&byte, sizeof(byte), GRND_NONBLOCK) == (ssize_t)sizeof(byte))
		return 0;
	int err = -errno;

	vmm_log("rng: the kernel has no random numbers: %s", strerror(-err));
	return err;
}

int virtio_rng_create(const struct virtio_env *env, struct pci_dev **out)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));
	int ret = rng ? 0 : -ENOMEM;

	if (!ret) {
		rng->more = (struct loop_work){.run = rng_serve, .opaque = rng};
		ret = virtio_init(&rng->dev, &rng_ops, 1, env);
	}
	if (ret) {
		vmm_log("rng: %s", strerror(-ret));
		free(rng);
		return ret;
	}
	*out = &rng->dev.pci;
	return 0;
}
