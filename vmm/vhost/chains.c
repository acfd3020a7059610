/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chains that the kernel has before it. The monitor looks at them as the kernel would: to push the translations
 * that it will ask for, and to find the address that was refused to it, since it reports a broken ring, and not why.
 */
#include <errno.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>

#include "vmm/vhost/vhost.h"

/*
 * Chains that are looked at, and bytes of buffers: all that a ring can have, or a burst of what comes next. A guest may
 * offer gigabytes in pages that lie nowhere together; other devices have their turn between two bursts.
 */
struct extent {
	unsigned chains;
	uint64_t bytes;
	bool report;
};

static const struct extent replay = {VQ_MAX_SIZE, 256 << 20, true}, prefetch = {16, 1 << 20, false};

/* -E2BIG: that is more than is looked at. */
static int chains_push(struct vhost_link *link, const struct vq_chain *chain, struct extent *left)
{
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		const struct vq_segment *segment = &chain->segments[i];
		unsigned access = i < chain->readable ? VIOMMU_READ : VIOMMU_WRITE;

		if (segment->len > left->bytes)
			return -E2BIG;
		left->bytes -= segment->len;
		int err = viommu_vhost_push(link->iotlb, segment->iova, segment->len, access, left->report);

		if (err)
			return err;
	}
	return 0;
}

/*
 * Chains are read in a section, and pushed outside of it: a translation of one's own must not keep an invalidation
 * waiting.
 */
static int chains_next(struct vhost_link *link, struct vq *vq, struct vq_chain *chain, bool report)
{
	struct viommu_section section;
	int ret = virtio_dma_begin(&link->net->dev, &section);

	if (ret)
		return 0; /* no DMA now: when it may go on, the rings are kicked */
	/* The kernel may have done with a chain by now, and the driver have unmapped its indirect table. */
	section.quiet = !report;
	ret = vq_pop(vq, &section, chain);
	viommu_dma_end(&section);
	return ret;
}

/* Go through chains from `*next` on, which follows. 1: there may be more; 0: that was all; or an error. */
static int chains_walk(struct vhost_link *link, unsigned direction, struct extent left, uint16_t *next)
{
	struct vq vq = link->net->dev.queues[vhost_queue(link, direction)].vq;
	struct vq_chain *chain = &link->net->chain;
	int ret = 1;

	vq.next_avail = *next;
	vq.event_idx = false; /* nothing is written for the driver */
	for (unsigned i = 0; i < left.chains && ret > 0; i++) {
		ret = chains_next(link, &vq, chain, left.report);
		if (ret > 0) {
			int err = chains_push(link, chain, &left);

			if (err)
				return err;
			*next = vq.next_avail;
		}
	}
	return ret;
}

static int where_kernel_is(const struct vhost_link *link, unsigned direction, uint16_t *next)
{
	struct vhost_vring_state base = {.index = direction};

	if (ioctl(link->fd, VHOST_GET_VRING_BASE, &base))
		return -errno;
	*next = (uint16_t)base.num;
	return 0;
}

int vhost_chains_replay(struct vhost_link *link, unsigned direction)
{
	uint16_t next;
	int err = where_kernel_is(link, direction, &next);

	if (!err)
		err = chains_walk(link, direction, replay, &next);
	return err < 0 ? err : 0;
}

/* The kernel may be at work in them meanwhile; what it has had already is pushed in vain. */
static void go_on(void *opaque)
{
	struct vhost_ahead *ahead = opaque;
	struct vhost_link *link = ahead->link;
	const unsigned direction = (unsigned)(ahead - link->ahead);

	if (!vhost_has_queue(link, direction))
		return;
	const uint16_t from = ahead->next;
	int ret = chains_walk(link, direction, prefetch, &ahead->next);

	/* A single chain that is too long is left to the kernel's questions. */
	if (ret > 0 || (ret == -E2BIG && ahead->next != from))
		loop_post(link->net->dev.loop, &ahead->work);
}

void vhost_chains_prefetch(struct vhost_link *link, unsigned direction)
{
	struct vhost_ahead *ahead = &link->ahead[direction];

	if (!where_kernel_is(link, direction, &ahead->next))
		go_on(ahead);
}

void vhost_chains_init(struct vhost_link *link)
{
	for (unsigned i = 0; i < VHOST_LINK_QUEUES; i++)
		link->ahead[i] = (struct vhost_ahead){.link = link, .work = {.run = go_on, .opaque = &link->ahead[i]}};
}

void vhost_chains_stop(struct vhost_link *link, unsigned direction)
{
	loop_cancel(link->net->dev.loop, &link->ahead[direction].work);
}
