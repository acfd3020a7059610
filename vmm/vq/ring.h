/* SPDX-License-Identifier: BSD-2-Clause */
/* What queue.c and chain.c share: fields of the rings, found in this process. */
#ifndef VMM_VQ_RING_H
#define VMM_VQ_RING_H

#include <errno.h>

#include "vmm/vq/queue.h"

/* In what vq_resolve() found. */
static inline void *ring_resolved(const struct vq *vq, uint64_t iova, size_t len, unsigned access)
{
	for (unsigned i = 0; i < vq->piece_count; i++) {
		const struct vq_piece *piece = &vq->pieces[i];
		uint64_t offset = iova - piece->iova;

		if (offset < piece->len && len <= piece->len - offset && !(access & ~piece->access))
			return piece->host + offset;
	}
	return NULL;
}

/* Find a field. Aligned to its size, it lies in one page and so in one piece. */
static inline int ring_field(const struct vq *vq, struct viommu_section *section, uint64_t base, uint64_t offset,
			     size_t len, unsigned access, void **host)
{
	struct viommu_span span;
	int ret;

	if (vq->piece_count) {
		*host = ring_resolved(vq, base + offset, len, access);
		if (*host)
			return 0;
	}
	ret = viommu_dma_translate(section, (struct viommu_iova){base + offset}, len, access, &span);
	if (ret)
		return ret;
	if (span.len < len)
		return -EFAULT;
	*host = span.host;
	return 0;
}

/* Read the chain that begins at chain->head. Errors: as vq_pop(). */
int chain_read(const struct vq *vq, struct viommu_section *section, struct vq_chain *chain);

#endif
