/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtio-iommu with four endpoints and the tests' reference beside it. */
#ifndef FUZZ_VIRTIO_WORLD_H
#define FUZZ_VIRTIO_WORLD_H

#include <viommu/viommu.h>

#include "fuzz/fuzz.h"
#include "tests/support/virtio_reference.h"

enum { RAM = 1 << 20 };

struct world {
	struct viommu *v;
	struct viommu_virtio *dev;
	struct viommu_endpoint *endpoints[REF_ENDPOINTS];
	struct viommu_section section;
	bool inside;
	unsigned user;        /* whose section it is */
	bool mirrored;        /* an endpoint has a mirror */
	unsigned deadline_ms; /* of invalidations; 0: as usual */
};

extern uint8_t ram[RAM];
extern struct reference ref;

/* @kind: width and bypass */
void world_create(struct world *w, uint8_t kind);
void world_destroy(struct world *w);

/* Close the section, if one is open. */
void world_leave(struct world *w);

/* How many mappings the section that is open may use, by the reference. */
unsigned world_in_use(const struct world *w);

/*
 * What the reference answers to a request of these bytes, `len` of them and zeroes behind; it takes part in what the
 * request does. @room: of the writable part
 */
int world_expect(const uint8_t *in, size_t len, size_t room);

#endif
