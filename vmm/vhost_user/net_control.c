/* SPDX-License-Identifier: BSD-2-Clause */
/* The control queue (virtio 1.2, section 5.1.6.5): the only command is how many pairs of queues are in use. */
#include <errno.h>
#include <linux/virtio_net.h>

#include "vmm/net/command.h"
#include "vmm/vhost_user/net.h"

enum { COMMANDS = 16 };

static uint8_t net_control_perform(struct vhost_user_net *net, const uint8_t *bytes, size_t len)
{
	const uint64_t features =
		net->device.dev.driver_features & (1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_MQ);
	struct net_command command;

	if (net_command_decode(bytes, len, features, net->pairs, &command) || command.kind != NET_SET_PAIRS)
		return VIRTIO_NET_ERR;
	for (unsigned i = 0; i < 2 * net->pairs; i++)
		viommu_vhu_enable(net->device.session.front, i, i < 2u * command.pairs);
	return VIRTIO_NET_OK;
}

/* Take one command and answer it. 1; 0: there is none; -errno: the ring is broken. */
static int control_serve_one(struct vhost_user_net *net, struct vq *vq, struct viommu_section *section)
{
	uint8_t bytes[VHOST_USER_NET_COMMAND], ack;
	int ret = vq_pop(vq, section, &net->chain);
	size_t len;

	if (ret <= 0)
		return ret;
	if (!net->chain.writable_bytes)
		return -EINVAL;
	len = net->chain.readable_bytes;
	/* What is longer is no known command, and neither are 0 bytes. */
	if (len > sizeof(bytes) || vq_copy_in(section, &net->chain, 0, bytes, len))
		len = 0;
	ack = net_control_perform(net, bytes, len);
	ret = vq_copy_out(section, &net->chain, 0, &ack, sizeof(ack));
	ret = vq_push(vq, section, net->chain.head, ret ? 0 : sizeof(ack));
	return ret ? ret : 1;
}

/* As control_serve_one(); *interrupt: the driver wants to hear of it. */
static int control_serve(struct vhost_user_net *net, bool *interrupt)
{
	struct vq *vq = &net->device.dev.queues[net->control_queue].vq;
	struct viommu_section section;
	int ret = 1, wanted;

	if (virtio_dma_begin(&net->device.dev, &section))
		return 0;
	for (unsigned i = 0; i < COMMANDS && ret > 0; i++)
		ret = control_serve_one(net, vq, &section);
	wanted = ret < 0 ? ret : vq_wants_interrupt(vq, &section);
	viommu_dma_end(&section);
	*interrupt = wanted > 0;
	return wanted < 0 ? wanted : ret;
}

void vhost_user_net_control(struct vhost_user_net *net)
{
	struct virtio_dev *dev = &net->device.dev;
	bool interrupt = false;
	int ret;

	if (!dev->running || !net->control_queue || !dev->queues[net->control_queue].vq.enabled)
		return;
	ret = control_serve(net, &interrupt);
	if (interrupt)
		virtio_interrupt_queue(dev, net->control_queue);
	if (ret < 0)
		virtio_fail(dev, "the control queue is broken");
	else if (ret)
		loop_post(dev->loop, &net->control_work);
}
