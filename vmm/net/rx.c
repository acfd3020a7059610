/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the tap to the guest (virtio 1.2, section 5.1.6.4). How long the next frame is shows when it is read.
 * So as many buffers are taken as the last frame needed, the frame goes straight into them, and what is left over goes
 * aside and is copied into further buffers. Where there are none, the frame waits for them and keeps those that it has.
 */
#include <errno.h>
#include <string.h>

#include "vmm/net/card.h"

enum { RX_DELIVERED = NET_ASKED + 1, RX_DROPPED };

/* The device may not write to a buffer: all that were taken go back empty, or it would be in the way of every frame. */
static int give_up(struct net_pair *pair, struct viommu_section *section)
{
	int ret = net_rx_buffers_give_up(&pair->buffers, net_vq(pair, NET_RX), section);

	pair->late = false;
	return ret ? ret : RX_DROPPED;
}

static int rx_drop(struct net_pair *pair)
{
	net_rx_buffers_undo(&pair->buffers, net_vq(pair, NET_RX), pair->buffers.count);
	pair->late = false;
	return RX_DROPPED;
}

/* EFAULT: guest memory that is a file's is not there any more, for that has become shorter. */
static int read_failed(struct net_pair *pair, struct viommu_section *section, int error)
{
	if (error == EFAULT)
		return give_up(pair, section);
	rx_drop(pair);
	if (error != EAGAIN && error != EINTR)
		net_tap_lost(pair->card, error);
	return NET_TAP;
}

/* The first buffer, and as many as a frame is likely to need. NET_TAKEN, or what stood in the way of the first. */
static int take_likely(struct net_pair *pair, struct viommu_section *section)
{
	struct net_rx_buffers *buffers = &pair->buffers;
	struct vq *vq = net_vq(pair, NET_RX);
	int ret;

	net_rx_buffers_init(buffers);
	do
		ret = net_rx_buffers_take(buffers, vq, section);
	while (ret == NET_TAKEN && buffers->count < pair->likely);
	if (ret < 0 || !buffers->count)
		return ret;
	if (ret != NET_UNREACHABLE)
		return NET_TAKEN;
	if (buffers->count == 1)
		return NET_UNREACHABLE;
	net_rx_buffers_undo(buffers, vq, 1); /* it may not be needed */
	return NET_TAKEN;
}

/* Read a frame into the buffers that were taken. 0, or as a burst's end. */
static int read_frame(struct net_pair *pair, struct viommu_section *section)
{
	struct net_rx_buffers *buffers = &pair->buffers;
	struct net_frame *frame = &pair->frame;
	size_t room = buffers->bytes < NET_FRAME_MAX ? buffers->bytes : NET_FRAME_MAX;
	ssize_t n;

	buffers->iov[0] = (struct iovec){&frame->header, sizeof(frame->header)};
	buffers->iov[buffers->iov_count] = (struct iovec){pair->spill + room, sizeof(pair->spill) - room};
	n = readv(pair->tap_fd, buffers->iov, (int)buffers->iov_count + 1);
	if (n < 0)
		return read_failed(pair, section, errno);
	if (n <= TAP_HEADER_SIZE || n > TAP_HEADER_SIZE + NET_FRAME_MAX)
		return rx_drop(pair);
	frame->len = (size_t)n - TAP_HEADER_SIZE;
	frame->direct = frame->len < room ? frame->len : room;
	frame->first = 0;
	frame->start_len = frame->len < sizeof(frame->start) ? frame->len : sizeof(frame->start);
	net_gather(buffers->iov + 1, buffers->iov_count, frame->start, frame->start_len);
	return 0;
}

/* The frame that waits goes on in buffers that are taken from now on. */
static int rx_resume(struct net_pair *pair, struct viommu_section *section)
{
	int ret;

	pair->frame.first = pair->frame.direct;
	ret = net_rx_buffers_resume(&pair->buffers, section);
	if (ret == NET_LATER)
		return NET_ASKED;
	return ret == NET_UNREACHABLE ? give_up(pair, section) : 0;
}

/* Copy what is aside into the buffers that were taken meanwhile, as far as they go. */
static void rx_fill(struct net_pair *pair)
{
	struct net_rx_buffers *buffers = &pair->buffers;
	struct net_frame *frame = &pair->frame;
	size_t upto = frame->len < buffers->bytes ? frame->len : buffers->bytes;

	net_scatter(buffers->iov + 1, buffers->iov_count - 1, frame->direct - frame->first, pair->spill + frame->direct,
		    upto - frame->direct);
	frame->direct = upto;
}

/*
 * Keep a frame, and its buffers, until there are more, or until they can be reached; `end` says which. A ring whose
 * buffers cannot hold it even when all are there would wait for ever.
 */
static int rx_keep(struct net_pair *pair, int end)
{
	if (end == NET_EMPTY && pair->buffers.count == net_vq(pair, NET_RX)->size)
		return rx_drop(pair);
	rx_fill(pair);
	pair->late = true;
	return end;
}

/* The ring is asked for kicks before it is found empty, so the driver tells of the next buffer; or it is polled. */
static int take_or_ask(struct net_pair *pair, struct viommu_section *section)
{
	struct vq *vq = net_vq(pair, NET_RX);
	int ret = net_rx_buffers_take(&pair->buffers, vq, section);

	if (ret != NET_NONE_LEFT || pair->card->polled)
		return ret;
	ret = vq_ask_kicks(vq, section, true);
	return ret ? ret : net_rx_buffers_take(&pair->buffers, vq, section);
}

/* Take what the frame needs beyond what was taken. 0: it is there; or as a burst's end. */
static int take_rest(struct net_pair *pair, struct viommu_section *section)
{
	const bool merge = pair->card->features >> VIRTIO_NET_F_MRG_RXBUF & 1;
	int ret = NET_TAKEN;

	if (!merge && pair->buffers.bytes < pair->frame.len)
		return rx_drop(pair);
	while (ret == NET_TAKEN && pair->buffers.bytes < pair->frame.len)
		ret = take_or_ask(pair, section);
	switch (ret) {
	case NET_TAKEN:
		return 0;
	case NET_NONE_LEFT:
		return rx_keep(pair, NET_EMPTY);
	case NET_LATER:
		return rx_keep(pair, NET_ASKED);
	case NET_UNREACHABLE:
		return give_up(pair, section);
	case NET_FULL:
		return rx_drop(pair);
	default:
		return ret;
	}
}

static int rx_deliver(struct net_pair *pair, struct viommu_section *section)
{
	struct net_rx_buffers *buffers = &pair->buffers;
	struct net_frame *frame = &pair->frame;
	struct net_card *card = pair->card;
	int ret;

	if (!net_header_from_tap(&frame->header, frame->len, card->rx_features, card->mtu))
		return rx_drop(pair);
	if (card->filtered && !net_filter_passes(&card->filter, card->mac, frame->start, frame->start_len))
		return rx_drop(pair);
	ret = take_rest(pair, section);
	if (ret)
		return ret;
	rx_fill(pair);
	ret = net_rx_buffers_deliver(buffers, net_vq(pair, NET_RX), section, &frame->header, frame->len);
	pair->likely = buffers->count;
	pair->late = false;
	return ret ? ret : RX_DELIVERED;
}

/* One frame. As a burst's end, RX_DELIVERED or RX_DROPPED. */
static int rx_receive(struct net_pair *pair, struct viommu_section *section)
{
	int ret;

	if (pair->late) {
		ret = rx_resume(pair, section);
		return ret ? ret : rx_deliver(pair, section);
	}
	ret = take_likely(pair, section);
	if (ret == NET_UNREACHABLE)
		return give_up(pair, section);
	if (ret == NET_LATER)
		return NET_ASKED;
	if (ret == NET_NONE_LEFT)
		return pair->card->polled ? NET_EMPTY : net_ring_empty(net_vq(pair, NET_RX), section);
	ret = ret < 0 ? ret : read_frame(pair, section);
	return ret ? ret : rx_deliver(pair, section);
}

int net_rx_slice(struct net_pair *pair, struct viommu_section *section)
{
	size_t bytes = 0;
	/* New buffers are news only to a pair that has none. */
	int ret = vq_ask_kicks(net_vq(pair, NET_RX), section, false);

	for (unsigned i = 0; !ret && i < NET_SLICE && bytes < NET_SLICE_BYTES; i++) {
		pair->frame.len = pair->late ? pair->frame.len : 0;
		ret = rx_receive(pair, section);
		if (ret != RX_DELIVERED && ret != RX_DROPPED)
			return ret;
		bytes += pair->frame.len;
		ret = 0;
	}
	return ret ? ret : NET_MORE;
}
