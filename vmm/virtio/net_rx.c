/* SPDX-License-Identifier: BSD-2-Clause */
/* From the tap to the guest. A frame goes straight into the buffers; one that does not fit is dropped. */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>

#include "vmm/virtio/net.h"

static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == TAP_HEADER_SIZE, "header");

enum { RX_DELIVERED = NET_MORE + 1, RX_DROPPED };

/* Header and spill-over are ours, the frame's buffers the guest's. */
static int prepare(struct virtio_net *net, struct viommu_section *section, struct virtio_net_hdr_mrg_rxbuf *header,
		   uint8_t *spill, uint64_t *room)
{
	uint64_t bytes = net->chain.writable_bytes;
	int count;

	if (bytes < TAP_HEADER_SIZE)
		return -EINVAL;
	bytes -= TAP_HEADER_SIZE;
	if (bytes > NET_FRAME_MAX)
		bytes = NET_FRAME_MAX;
	net->iov[0] = (struct iovec){header, TAP_HEADER_SIZE};
	count = vq_translate_part(section, &net->chain, true, TAP_HEADER_SIZE, bytes, net->spans, NET_SPANS, room);
	for (int i = 0; i < count; i++)
		net->iov[i + 1] = (struct iovec){net->spans[i].host, net->spans[i].len};
	if (count >= 0)
		net->iov[count + 1] = (struct iovec){spill, 1};
	return count;
}

/* The buffer is not reachable: the device goes on without it. The fault is reported already. */
static int skip(struct virtio_net *net, struct viommu_section *section)
{
	int ret = vq_push(&net->dev.queues[NET_RX].vq, section, net->chain.head, 0);

	return ret ? ret : RX_DELIVERED;
}

static int read_failed(struct virtio_net *net, int error)
{
	vq_unpop(&net->dev.queues[NET_RX].vq);
	if (error != EAGAIN && error != EINTR)
		net_tap_lost(net, error);
	return NET_TAP;
}

/* One frame into the chain that was taken. */
static int receive(struct virtio_net *net, struct viommu_section *section)
{
	struct vq *vq = &net->dev.queues[NET_RX].vq;
	struct virtio_net_hdr_mrg_rxbuf header;
	uint64_t room;
	uint8_t spill;
	int ret, count = prepare(net, section, &header, &spill, &room);
	ssize_t n;

	if (count == -EINVAL)
		return count;
	if (count < 0)
		return skip(net, section);
	n = readv(net->tap_fd, net->iov, count + 2);
	if (n < 0)
		return read_failed(net, errno);
	if (n < TAP_HEADER_SIZE || (uint64_t)n > TAP_HEADER_SIZE + room) {
		vq_unpop(vq);
		return RX_DROPPED;
	}
	/* No offload was negotiated, so there is nothing to tell but that this is the whole frame (section 5.1.6.4). */
	header = (struct virtio_net_hdr_mrg_rxbuf){.num_buffers = htole16(1)};
	if (vq_copy_out(section, &net->chain, 0, &header, sizeof(header)))
		return skip(net, section);
	ret = vq_push(vq, section, net->chain.head, (uint32_t)n);
	return ret ? ret : RX_DELIVERED;
}

int net_rx_burst(struct virtio_net *net, struct viommu_section *section)
{
	struct vq *vq = &net->dev.queues[NET_RX].vq;
	/* New buffers are news only to who has none. */
	int ret = vq_ask_kicks(vq, section, false);

	for (unsigned i = 0; !ret && i < NET_BURST; i++) {
		ret = vq_pop(vq, section, &net->chain);
		if (!ret)
			return net_ring_empty(vq, section);
		if (ret == 1)
			ret = receive(net, section);
		if (ret == RX_DELIVERED || ret == RX_DROPPED)
			ret = 0;
		else
			return ret;
	}
	return ret ? ret : NET_MORE;
}
