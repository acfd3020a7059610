/* SPDX-License-Identifier: BSD-2-Clause */
/* From the guest to the tap. A frame that the tap refuses, or that cannot be reached, is dropped, as on a wire. */
#include <errno.h>

#include "vmm/virtio/net.h"

/* The driver's header is not passed on: no offload was negotiated, so it has nothing to say. */
static uint8_t empty_header[TAP_HEADER_SIZE];

/* 0: there is a frame in iov; 1: drop it. */
static int prepare(struct virtio_net *net, struct viommu_section *section, int *count)
{
	uint64_t bytes = net->chain.readable_bytes;

	if (bytes <= TAP_HEADER_SIZE || bytes - TAP_HEADER_SIZE > NET_FRAME_MAX)
		return 1;
	*count = vq_translate(section, &net->chain, false, TAP_HEADER_SIZE, bytes - TAP_HEADER_SIZE, net->spans,
			      NET_SPANS);
	if (*count < 0)
		return 1;
	net->iov[0] = (struct iovec){empty_header, TAP_HEADER_SIZE};
	for (int i = 0; i < *count; i++)
		net->iov[i + 1] = (struct iovec){net->spans[i].host, net->spans[i].len};
	return 0;
}

/* True: the frame is gone, one way or the other. */
static bool transmit(struct virtio_net *net, struct viommu_section *section)
{
	int count;

	if (net->tap_gone || prepare(net, section, &count))
		return true;
	if (writev(net->tap_fd, net->iov, count + 1) >= 0)
		return true;
	if (errno == EBADFD)
		net_tap_lost(net, errno);
	return errno != EAGAIN;
}

int net_tx_burst(struct virtio_net *net, struct viommu_section *section)
{
	struct vq *vq = &net->dev.queues[NET_TX].vq;
	int ret = vq_ask_kicks(vq, section, false);

	for (unsigned i = 0; !ret && i < NET_BURST; i++) {
		ret = vq_pop(vq, section, &net->chain);
		if (!ret)
			return net_ring_empty(vq, section);
		if (ret < 0)
			return ret;
		if (!transmit(net, section)) {
			vq_unpop(vq);
			return NET_TAP;
		}
		ret = vq_push(vq, section, net->chain.head, 0);
	}
	return ret ? ret : NET_MORE;
}
