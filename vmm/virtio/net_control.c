/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtio/net_control.h"

#include <errno.h>
#include <linux/virtio_net.h>

#include "vmm/net/card.h"

enum { COMMANDS = 16, TAKEN = NET_MORE + 1 };

/*
 * Take a command and copy it. TAKEN, *len: how long it is; or as a burst's end. -EINVAL: there is no room for the
 * answer.
 */
static int take_command(struct net_control *control, struct vq *vq, struct viommu_section *section, size_t *len)
{
	struct vq_chain *chain = &control->chain;
	int ret = vq_pop(vq, section, chain);

	if (ret <= 0)
		return ret ? ret : net_ring_empty(vq, section);
	if (!chain->writable_bytes)
		return -EINVAL;
	*len = chain->readable_bytes;
	/* What is too long, or cannot be reached, is no known command, and neither are 0 bytes. */
	if (*len > sizeof(control->command) || vq_copy_in(section, chain, 0, control->command, *len))
		*len = 0;
	return TAKEN;
}

/* One command. NET_MORE: there may be another one; NET_EMPTY; -errno: the ring is broken. */
static int net_control_serve_one(struct net_control *control, struct vq *vq)
{
	struct viommu_section section;
	struct net_command command;
	uint8_t ack = VIRTIO_NET_ERR;
	size_t len = 0;
	int ret;

	if (virtio_dma_begin(control->dev, &section))
		return NET_EMPTY;
	ret = take_command(control, vq, &section, &len);
	viommu_dma_end(&section);
	if (ret != TAKEN)
		return ret;
	/* Outside of sections: the kernel, or a back end, may take its time to change queues. */
	if (!net_command_decode(control->command, len, control->features, control->pairs, &command) &&
	    !control->perform(control->dev, &command))
		ack = VIRTIO_NET_OK;
	/* Where the device may do no DMA any more, the command is done again when it may. */
	if (virtio_dma_begin(control->dev, &section)) {
		vq_unpop(vq);
		return NET_EMPTY;
	}
	ret = vq_copy_out(&section, &control->chain, 0, &ack, sizeof(ack));
	ret = vq_push(vq, &section, control->chain.head, ret ? 0 : sizeof(ack));
	if (!ret)
		ret = vq_wants_interrupt(vq, &section);
	viommu_dma_end(&section);
	if (ret > 0)
		virtio_interrupt_queue(control->dev, control->queue);
	return ret < 0 ? ret : NET_MORE;
}

static void net_control_serve(void *opaque)
{
	struct net_control *control = opaque;
	struct virtio_dev *dev = control->dev;
	struct vq *vq = &dev->queues[control->queue].vq;
	int ret = NET_MORE;

	if (!dev->running || !vq->enabled)
		return;
	for (unsigned i = 0; i < COMMANDS && ret == NET_MORE; i++)
		ret = net_control_serve_one(control, vq);
	if (ret < 0)
		virtio_fail(dev, "the control queue is broken");
	else if (ret == NET_MORE)
		loop_post(dev->loop, &control->more);
}

void net_control_init(struct net_control *control, struct virtio_dev *dev, unsigned pairs,
		      int (*perform)(struct virtio_dev *dev, const struct net_command *command))
{
	control->dev = dev;
	control->pairs = pairs;
	control->perform = perform;
	control->more = (struct loop_work){.run = net_control_serve, .opaque = control};
}

/* Section 5.1.2: without MQ the control queue is the third, whatever the device has. */
void net_control_start(struct net_control *control, uint64_t features)
{
	control->features = features;
	control->queue = NET_PAIR_QUEUES * (features >> VIRTIO_NET_F_MQ & 1 ? control->pairs : 1);
}

void net_control_stop(struct net_control *control)
{
	loop_cancel(control->dev->loop, &control->more);
}

bool net_control_kick(struct net_control *control, unsigned queue)
{
	if (queue != control->queue || !(control->features >> VIRTIO_NET_F_CTRL_VQ & 1))
		return false;
	net_control_serve(control);
	return true;
}
