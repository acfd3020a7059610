/* SPDX-License-Identifier: BSD-2-Clause */
/* The control queue (virtio 1.2, section 5.1.6.5): a command, and one byte that says whether it was done. */
#include <errno.h>
#include <string.h>

#include "vmm/net/command.h"
#include "vmm/virtio/net.h"

enum { COMMANDS = 16 };

static int net_control_perform(struct virtio_net *net, const struct net_command *command)
{
	struct net_filter *filter = &net->card.filter;

	switch (command->kind) {
	case NET_SET_MODE:
		filter->modes[command->mode.index] = command->mode.on;
		return 0;
	case NET_SET_MACS:
		net_filter_set_macs(&filter->unicast, command->macs.unicast, command->macs.unicasts);
		net_filter_set_macs(&filter->multicast, command->macs.multicast, command->macs.multicasts);
		return 0;
	case NET_SET_MAC:
		/* The configuration space shows it, to any thread. */
		mutex_take(&net->dev.pci.lock);
		memcpy(net->card.mac, command->mac, MAC_SIZE);
		mutex_drop(&net->dev.pci.lock);
		return 0;
	case NET_SET_VLAN:
		net_filter_set_vlan(filter, command->vlan.id, command->vlan.pass);
		return 0;
	case NET_SET_PAIRS:
		return net_pairs_use(&net->card, command->pairs);
	case NET_SET_OFFLOADS:
		return net_set_offloads(&net->card, command->offloads);
	}
	return -EINVAL;
}

enum { TAKEN = NET_MORE + 1 };

/*
 * Take a command and copy it. TAKEN, *len: how long it is; or as a burst's end. -EINVAL: there is no room for the
 * answer.
 */
static int take_command(struct virtio_net *net, struct viommu_section *section, size_t *len)
{
	struct vq *vq = &net->dev.queues[net->control_queue].vq;
	struct vq_chain *chain = &net->chain;
	int ret = vq_pop(vq, section, chain);

	if (ret <= 0)
		return ret ? ret : net_ring_empty(vq, section);
	if (!chain->writable_bytes)
		return -EINVAL;
	*len = chain->readable_bytes;
	/* What is too long, or cannot be reached, is no known command, and neither are 0 bytes. */
	if (*len > sizeof(net->command) || vq_copy_in(section, chain, 0, net->command, *len))
		*len = 0;
	return TAKEN;
}

/* Outside of sections: the kernel may take its time to change queues. */
static uint8_t net_control_answer(struct virtio_net *net, size_t len)
{
	struct net_command command;

	if (net_command_decode(net->command, len, net->card.features, net->card.pair_count, &command) ||
	    net_control_perform(net, &command))
		return VIRTIO_NET_ERR;
	return VIRTIO_NET_OK;
}

/* One command. NET_MORE: there may be another one; NET_EMPTY; -errno: the ring is broken. */
static int net_control_serve(struct virtio_net *net)
{
	struct virtio_dev *dev = &net->dev;
	struct vq *vq = &dev->queues[net->control_queue].vq;
	struct viommu_section section;
	size_t len = 0;
	uint8_t ack;
	int ret;

	if (virtio_dma_begin(dev, &section))
		return NET_EMPTY;
	ret = take_command(net, &section, &len);
	viommu_dma_end(&section);
	if (ret != TAKEN)
		return ret;
	ack = net_control_answer(net, len);
	/* Where the device may do no DMA any more, the command is done again when it may. */
	if (virtio_dma_begin(dev, &section)) {
		vq_unpop(vq);
		return NET_EMPTY;
	}
	ret = vq_copy_out(&section, &net->chain, 0, &ack, sizeof(ack));
	ret = vq_push(vq, &section, net->chain.head, ret ? 0 : sizeof(ack));
	if (!ret)
		ret = vq_wants_interrupt(vq, &section);
	viommu_dma_end(&section);
	if (ret > 0)
		virtio_interrupt_queue(dev, net->control_queue);
	return ret < 0 ? ret : NET_MORE;
}

void net_control_kick(struct virtio_net *net)
{
	struct virtio_dev *dev = &net->dev;
	int ret = NET_MORE;

	if (!dev->running || !dev->queues[net->control_queue].vq.enabled)
		return;
	for (unsigned i = 0; i < COMMANDS && ret == NET_MORE; i++)
		ret = net_control_serve(net);
	if (ret < 0)
		virtio_fail(dev, "the control queue is broken");
	else if (ret == NET_MORE)
		loop_post(dev->loop, &net->control_work);
}
