/* SPDX-License-Identifier: BSD-2-Clause */
/* The buffers of a chain: found in this process, and copied. */
#include <errno.h>
#include <string.h>

#include "vmm/vq/queue.h"

int vq_translate_part(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		      uint64_t len, struct viommu_span *spans, unsigned max, uint64_t *done)
{
	const struct vq_segment *segment = chain->segments + (writable ? chain->readable : 0);
	const uint64_t bytes = writable ? chain->writable_bytes : chain->readable_bytes;
	unsigned access = writable ? VIOMMU_WRITE : VIOMMU_READ;
	unsigned count = 0;

	*done = 0;
	if (offset > bytes || len > bytes - offset)
		return -EINVAL;
	while (*done < len && count < max) {
		uint64_t wanted = len - *done;
		int ret;

		if (offset >= segment->len) {
			offset -= segment->len;
			segment++;
			continue;
		}
		if (wanted > segment->len - offset)
			wanted = segment->len - offset;
		ret = viommu_dma_translate(section, (struct viommu_iova){segment->iova.value + offset}, wanted, access,
					   &spans[count]);
		if (ret)
			return ret;
		*done += spans[count].len;
		offset += spans[count].len;
		count++;
	}
	return (int)count;
}

int vq_translate(struct viommu_section *section, const struct vq_chain *chain, bool writable, uint64_t offset,
		 uint64_t len, struct viommu_span *spans, unsigned max)
{
	uint64_t done;
	int count = vq_translate_part(section, chain, writable, offset, len, spans, max, &done);

	return count >= 0 && done < len ? -E2BIG : count;
}

int vq_copy_in(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, void *buffer, size_t len)
{
	uint8_t *to = buffer;

	while (len) {
		struct viommu_span span;
		uint64_t done;
		int ret = vq_translate_part(section, chain, false, offset, len, &span, 1, &done);

		if (ret < 0)
			return ret;
		memcpy(to, span.host, done);
		to += done;
		offset += done;
		len -= done;
	}
	return 0;
}

int vq_copy_out(struct viommu_section *section, const struct vq_chain *chain, uint64_t offset, const void *buffer,
		size_t len)
{
	const uint8_t *from = buffer;

	while (len) {
		struct viommu_span span;
		uint64_t done;
		int ret = vq_translate_part(section, chain, true, offset, len, &span, 1, &done);

		if (ret < 0)
			return ret;
		memcpy(span.host, from, done);
		from += done;
		offset += done;
		len -= done;
	}
	return 0;
}
