/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver for the virtio-iommu model without a guest: builds requests as they would lie in a ring, and two test
 * endpoints.
 */
#ifndef TESTS_SUPPORT_VIRTIO_DRIVER_H
#define TESTS_SUPPORT_VIRTIO_DRIVER_H

#include <viommu/viommu.h>

#include "lib/spec/virtio_iommu.h"
#include "tests/support/test.h"

enum {
	DRIVER_RAM = 1 << 20,
	ENDPOINT_A = 0x18,
	ENDPOINT_B = 0x20,
	NOBODY = 0x99,
	MSI_FIRST = 0xfee00000,
	MSI_LAST = 0xfeefffff
};

struct driver {
	struct viommu *v;
	struct viommu_virtio *dev;
	struct viommu_endpoint *a, *b;
	uint8_t *ram;
	unsigned events; /* how often event_ready was called */
};

/* A request with its buffers: one readable and one writable piece, as Linux sends them. */
struct packet {
	uint8_t in[VIO_PROBE_SIZE + 8], out[1024];
	struct iovec in_iov, out_iov;
	struct viommu_virtio_request request;
};

enum { NOT_WRITTEN = -1 };

/* All features accepted, 48 input bits, domains 1..100, MSI window and one more region reserved, as the defaults. */
struct driver *driver_create(const struct viommu_virtio_config *config);
void driver_destroy(struct driver *driver);
int driver_setup(void **state);
int driver_teardown(void **state);

void packet_attach(struct packet *packet, uint32_t domain, uint32_t endpoint, uint32_t flags);
void packet_detach(struct packet *packet, uint32_t domain, uint32_t endpoint);
void packet_map(struct packet *packet, uint32_t domain, uint64_t first, uint64_t last, uint64_t phys, uint32_t flags);
void packet_unmap(struct packet *packet, uint32_t domain, uint64_t first, uint64_t last);
void packet_probe(struct packet *packet, uint32_t endpoint, size_t properties);

/* The status that lies at the end of what was written, or NOT_WRITTEN. */
int packet_status(const struct packet *packet);

/* Submit one request; it must complete at once. Returns its status. */
int driver_send(struct driver *driver, struct packet *packet);

int driver_attach(struct driver *driver, uint32_t domain, uint32_t endpoint);
int driver_detach(struct driver *driver, uint32_t domain, uint32_t endpoint);
int driver_map(struct driver *driver, uint32_t domain, uint64_t first, uint64_t last, uint64_t phys, uint32_t flags);
int driver_unmap(struct driver *driver, uint32_t domain, uint64_t first, uint64_t last);

/* Can the endpoint read, or write, one byte there? */
bool driver_reads(struct viommu_endpoint *endpoint, uint64_t iova);
bool driver_writes(struct viommu_endpoint *endpoint, uint64_t iova);

#endif
