/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/rx_buffers.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

static_assert(sizeof(struct virtio_net_hdr_mrg_rxbuf) == TAP_HEADER_SIZE, "header");

void net_rx_buffers_init(struct net_rx_buffers *buffers)
{
	buffers->count = buffers->header_count = 0;
	buffers->bytes = 0;
	buffers->iov_count = 1;
}

/* Find the frame's bytes of the chain, from `offset` on. Bytes that do not fit into the buffers are left out. */
static int add_room(struct net_rx_buffers *buffers, struct viommu_section *section, uint64_t offset)
{
	uint64_t bytes = buffers->chain.writable_bytes - offset, done;
	unsigned left = 1 + NET_SPANS - buffers->iov_count;
	int count;

	if (bytes > NET_FRAME_MAX)
		bytes = NET_FRAME_MAX;
	count = vq_translate_part(section, &buffers->chain, true, offset, bytes, buffers->spans, left, &done);
	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		buffers->iov[buffers->iov_count++] = (struct iovec){buffers->spans[i].host, buffers->spans[i].len};
	buffers->room[buffers->count - 1] = (uint32_t)done;
	buffers->bytes += done;
	return 0;
}

static int add_header(struct net_rx_buffers *buffers, struct viommu_section *section)
{
	int count = vq_translate(section, &buffers->chain, true, 0, TAP_HEADER_SIZE, buffers->header, TAP_HEADER_SIZE);

	if (count < 0)
		return count;
	buffers->header_count = (unsigned)count;
	return 0;
}

int net_rx_buffers_take(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section)
{
	bool first = !buffers->count;
	int ret;

	if (buffers->count == NET_QUEUE_SIZE || buffers->iov_count == 1 + NET_SPANS)
		return NET_FULL;
	ret = vq_pop(vq, section, &buffers->chain);
	if (ret <= 0)
		return ret == -EAGAIN ? NET_LATER : ret;
	/* Section 5.1.6.3.1: each buffer has room for a header at least. */
	if (buffers->chain.writable_bytes < TAP_HEADER_SIZE)
		return -EINVAL;
	buffers->room[buffers->count] = 0;
	buffers->used[buffers->count++] = (struct vq_used){buffers->chain.head, 0};
	ret = first ? add_header(buffers, section) : 0;
	if (!ret)
		ret = add_room(buffers, section, first ? TAP_HEADER_SIZE : 0);
	if (ret == -EAGAIN) {
		net_rx_buffers_undo(buffers, vq, 1);
		return NET_LATER;
	}
	return ret ? NET_UNREACHABLE : NET_TAKEN;
}

/*
 * A piece again, which may have come apart meanwhile: then it is not what was promised, unless the rest of it just
 * comes late.
 */
static int find_again(struct viommu_section *section, struct viommu_span *span)
{
	struct viommu_span now, rest;
	int ret = viommu_dma_translate(section, span->iova, span->len, VIOMMU_WRITE, &now);

	if (!ret && now.len < span->len) {
		const struct viommu_iova iova = {span->iova.value + now.len};

		ret = viommu_dma_translate(section, iova, span->len - now.len, VIOMMU_WRITE, &rest);
		ret = ret ? ret : -EFAULT;
	}
	if (!ret)
		*span = now;
	return ret;
}

int net_rx_buffers_resume(struct net_rx_buffers *buffers, struct viommu_section *section)
{
	buffers->iov_count = 1;
	for (unsigned i = 0; i < buffers->header_count; i++) {
		int ret = find_again(section, &buffers->header[i]);

		if (ret)
			return ret == -EAGAIN ? NET_LATER : NET_UNREACHABLE;
	}
	return NET_TAKEN;
}

void net_rx_buffers_undo(struct net_rx_buffers *buffers, struct vq *vq, unsigned count)
{
	buffers->count -= count;
	while (count-- > 0)
		vq_unpop(vq);
}

int net_rx_buffers_give_up(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section)
{
	for (unsigned i = 0; i < buffers->count; i++)
		buffers->used[i].written = 0;
	return vq_push_all(vq, section, buffers->used, buffers->count);
}

/* How much of the frame goes into each chain, all but the last one full. Returns how many are needed. */
static unsigned share_out(struct net_rx_buffers *buffers, uint64_t len)
{
	unsigned count = 0;

	do {
		uint32_t part = buffers->room[count] < len ? buffers->room[count] : (uint32_t)len;

		buffers->used[count].written = part + (count ? 0 : TAP_HEADER_SIZE);
		len -= part;
		count++;
	} while (len && count < buffers->count);
	return count;
}

int net_rx_buffers_deliver(struct net_rx_buffers *buffers, struct vq *vq, struct viommu_section *section,
			   struct virtio_net_hdr_mrg_rxbuf *header, uint64_t len)
{
	unsigned count = share_out(buffers, len);
	const uint8_t *from = (const uint8_t *)header;

	net_rx_buffers_undo(buffers, vq, buffers->count - count);
	header->num_buffers = htole16((uint16_t)count);
	for (unsigned i = 0; i < buffers->header_count; i++) {
		memcpy(buffers->header[i].host, from, buffers->header[i].len);
		from += buffers->header[i].len;
	}
	return vq_push_all(vq, section, buffers->used, count);
}

size_t net_gather(const struct iovec *iov, unsigned count, void *buffer, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((uint8_t *)buffer + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

void net_scatter(const struct iovec *iov, unsigned count, size_t offset, const void *buffer, size_t len)
{
	const uint8_t *from = buffer;

	for (unsigned i = 0; i < count && len; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - offset < len ? iov[i].iov_len - offset : len;
		memcpy((uint8_t *)iov[i].iov_base + offset, from, part);
		from += part;
		len -= part;
		offset = 0;
	}
}
