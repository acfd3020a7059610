/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/virtio_world.h"

#include "lib/util/le.h"

enum { FIRST = 0x3000 };

_Alignas(4096) uint8_t ram[RAM];
struct reference ref;

void world_create(struct world *w, uint8_t kind)
{
	static const struct viommu_reserved resv[] = {{{0xfee00000}, {0xfeefffff}, true}, {{0x9000}, {0xafff}, false}};
	const struct viommu_virtio_config config = {
		.size = sizeof(struct viommu_virtio_config),
		.input_bits = kind & 1 ? 48 : 64,
		.domain_last = REF_DOMAINS - 1,
		.resv = resv,
		.resv_count = 2,
		.legacy_bypass = kind & 2,
		.bypass = (kind & 6) == 4,
	};

	ref = (struct reference){.input_last = UINT64_MAX >> (64 - config.input_bits),
				 .granule = 4096,
				 .memory_first = FIRST,
				 .memory_last = RAM - 1,
				 .domain_last = REF_DOMAINS - 1,
				 .resv_count = 2,
				 .resv = {{0xfee00000, 0xfeefffff, true}, {0x9000, 0xafff, false}},
				 .legacy = config.legacy_bypass,
				 .bypass = config.bypass};
	const struct viommu_config core = {.size = sizeof(core), .deadline_ms = w->deadline_ms};

	CHECK(!viommu_create(&core, &w->v), "no context");
	CHECK(!viommu_mem_add(w->v, (struct viommu_gpa){FIRST}, RAM - FIRST, ram + FIRST, -1, 0), "no memory");
	CHECK(!viommu_virtio_create(w->v, &config, &w->dev), "no device");
	for (unsigned i = 0; i < REF_ENDPOINTS; i++) {
		ref.ids[i] = 8 + 8 * i;
		ref.attached[i] = REF_UNATTACHED;
		CHECK(!viommu_endpoint_add(w->v, ref.ids[i], "endpoint", &w->endpoints[i]), "no endpoint");
		CHECK(!viommu_virtio_manage(w->dev, w->endpoints[i]), "not managed");
	}
}

void world_destroy(struct world *w)
{
	world_leave(w);
	viommu_virtio_destroy(w->dev);
	for (unsigned i = 0; i < REF_ENDPOINTS; i++)
		CHECK(!viommu_endpoint_remove(w->endpoints[i]), "busy");
	viommu_destroy(w->v);
}

void world_leave(struct world *w)
{
	if (w->inside)
		viommu_dma_end(&w->section);
	w->inside = false;
}

unsigned world_in_use(const struct world *w)
{
	const int domain = ref.attached[w->user];

	return w->inside && domain != REF_UNATTACHED ? ref.domains[domain].count : 0;
}

int world_expect(const uint8_t *in, size_t len, size_t room)
{
	static const size_t sizes[] = {
		0, VIO_ATTACH_SIZE, VIO_DETACH_SIZE, VIO_MAP_SIZE, VIO_UNMAP_SIZE, VIO_PROBE_SIZE};
	const struct ref_mapping mapping = {le64_get(in + 8), le64_get(in + 16), le64_get(in + 24), le32_get(in + 32)};

	if (room < VIO_TAIL_SIZE || len < VIO_HEAD_SIZE || !in[0] || in[0] > VIO_T_PROBE || len < sizes[in[0]])
		return REF_UNWRITTEN;
	switch (in[0]) {
	case VIO_T_ATTACH:
		return ref_attach(&ref, le32_get(in + 4), le32_get(in + 8), le32_get(in + 12), le32_get(in + 16));
	case VIO_T_DETACH:
		return ref_detach(&ref, le32_get(in + 4), le32_get(in + 8));
	case VIO_T_MAP:
		return ref_map(&ref, le32_get(in + 4), &mapping);
	case VIO_T_UNMAP:
		return ref_unmap(&ref, le32_get(in + 4), mapping.first, mapping.last, le32_get(in + 24));
	default:
		return ref_probe(&ref, le32_get(in + 4), room - VIO_TAIL_SIZE);
	}
}
