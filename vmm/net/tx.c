/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the guest to the tap (virtio 1.2, section 5.1.6.2). A frame that the tap refuses, whose header asks for too
 * much, or that cannot be reached, is dropped, as on a wire.
 */
#include <errno.h>

#include "vmm/net/card.h"

/*
 * How many elements of iov are the frame with its header; 0: drop it; -EAGAIN: translations come later. The header is
 * ours: a copy that was checked.
 */
static int tx_prepare(struct net_pair *pair, struct viommu_section *section, struct virtio_net_hdr_mrg_rxbuf *header)
{
	struct net_rx_buffers *buffers = &pair->buffers;
	uint64_t bytes = buffers->chain.readable_bytes;
	int count, ret;

	if (bytes <= TAP_HEADER_SIZE || bytes - TAP_HEADER_SIZE > NET_FRAME_MAX)
		return 0;
	bytes -= TAP_HEADER_SIZE;
	ret = vq_copy_in(section, &buffers->chain, 0, header, sizeof(*header));
	if (ret || !net_header_from_driver(header, bytes, pair->card->features))
		return ret == -EAGAIN ? ret : 0;
	count = vq_translate(section, &buffers->chain, false, TAP_HEADER_SIZE, bytes, buffers->spans, NET_SPANS);
	if (count < 0)
		return count == -EAGAIN ? count : 0;
	buffers->iov[0] = (struct iovec){header, sizeof(*header)};
	for (int i = 0; i < count; i++)
		buffers->iov[i + 1] = (struct iovec){buffers->spans[i].host, buffers->spans[i].len};
	return count + 1;
}

/*
 * 0: the frame is gone, one way or the other; NET_TAP, NET_ASKED. A pair that is not in use has no queue of the tap,
 * but the driver may have left frames in it: they take the first pair's.
 */
static int transmit(struct net_pair *pair, struct viommu_section *section)
{
	struct net_card *card = pair->card;
	struct virtio_net_hdr_mrg_rxbuf header;
	int count = card->tap_gone ? 0 : tx_prepare(pair, section, &header);

	if (count < 0)
		return NET_ASKED;
	if (!count || writev(pair->active ? pair->tap_fd : card->pairs[0].tap_fd, pair->buffers.iov, count) >= 0)
		return 0;
	if (errno == EBADFD)
		net_tap_lost(card, errno);
	return errno == EAGAIN && pair->active ? NET_TAP : 0;
}

int net_tx_slice(struct net_pair *pair, struct viommu_section *section)
{
	struct vq_chain *chain = &pair->buffers.chain;
	struct vq *vq = net_vq(pair, NET_TX);
	uint64_t bytes = 0;
	int ret = vq_ask_kicks(vq, section, false);

	for (unsigned i = 0; !ret && i < NET_SLICE && bytes < NET_SLICE_BYTES; i++) {
		ret = vq_pop(vq, section, chain);
		if (!ret)
			return pair->card->polled ? NET_EMPTY : net_ring_empty(vq, section);
		if (ret < 0)
			return ret == -EAGAIN ? NET_ASKED : ret;
		ret = transmit(pair, section);
		if (ret) {
			vq_unpop(vq);
			return ret;
		}
		bytes += chain->readable_bytes;
		ret = vq_push(vq, section, chain->head, 0);
	}
	return ret ? ret : NET_MORE;
}
