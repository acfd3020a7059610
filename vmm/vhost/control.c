/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue (virtio 1.2, section 5.1.6.5). Its only command is how many queue pairs are in use: the monitor
 * sees no frames.
 */
#include <errno.h>
#include <linux/virtio_net.h>

#include "vmm/net/command.h"
#include "vmm/vhost/vhost.h"

enum { COMMAND_BYTES = 64, COMMANDS = 16 };

/* Take a command; its bytes are a copy. 1, 0: there is none, -errno. */
static int control_take(struct vhost_net *net, uint8_t *bytes, size_t *len)
{
	struct vq *vq = &net->dev.queues[net->control_queue].vq;
	struct vq_chain *chain = &net->chain;
	struct viommu_section section;
	int ret = virtio_dma_begin(&net->dev, &section);

	if (ret)
		return 0;
	ret = vq_pop(vq, &section, chain);
	if (ret > 0 && !chain->writable_bytes)
		ret = -EINVAL; /* there is no room for the answer */
	if (ret > 0) {
		*len = chain->readable_bytes < COMMAND_BYTES ? chain->readable_bytes : COMMAND_BYTES;
		int err = vq_copy_in(&section, chain, 0, bytes, *len);

		ret = err ? err : ret;
	}
	viommu_dma_end(&section);
	return ret;
}

/* Perform a command, outside of sections, and answer it. */
static int control_perform(struct vhost_net *net, const uint8_t *bytes, size_t len)
{
	struct vq *vq = &net->dev.queues[net->control_queue].vq;
	uint8_t ack = VIRTIO_NET_ERR;
	struct viommu_section section;
	struct net_command command;
	int ret, interrupt = 0;

	if (!net_command_decode(bytes, len, net->features, net->link_count, &command) &&
	    command.kind == NET_SET_PAIRS && !vhost_links_use(net, command.pairs))
		ack = VIRTIO_NET_OK;
	ret = virtio_dma_begin(&net->dev, &section);
	if (ret)
		return ret;
	ret = vq_copy_out(&section, &net->chain, 0, &ack, sizeof(ack));
	if (!ret)
		ret = vq_push(vq, &section, net->chain.head, sizeof(ack));
	if (!ret)
		interrupt = vq_wants_interrupt(vq, &section);
	viommu_dma_end(&section);
	if (interrupt > 0)
		virtio_interrupt_queue(&net->dev, net->control_queue);
	return ret ? ret : interrupt < 0 ? interrupt : 0;
}

void vhost_net_control(struct vhost_net *net)
{
	uint8_t bytes[COMMAND_BYTES];
	size_t len = 0;
	int ret = 1;

	for (unsigned i = 0; i < COMMANDS && ret > 0; i++) {
		ret = control_take(net, bytes, &len);
		if (ret > 0) {
			int err = control_perform(net, bytes, len);

			ret = err ? err : ret;
		}
	}
	if (ret < 0)
		virtio_fail(&net->dev, "the control queue is broken");
	else if (ret > 0)
		virtio_queue_signal(&net->dev, net->control_queue);
}
