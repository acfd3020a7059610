/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a virtio-iommu has to answer, and where each access has to go, told the slow way: every domain is a plain list
 * of its mappings that is searched from end to end. Written from the specification (virtio 1.2, section 5.13.6) and the
 * tables in docs/SPEC-COVERAGE.md, and shares nothing with the library but the numbers of lib/spec.
 */
#ifndef TESTS_SUPPORT_VIRTIO_REFERENCE_H
#define TESTS_SUPPORT_VIRTIO_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spec/virtio_iommu.h"

enum { REF_ENDPOINTS = 4, REF_DOMAINS = 8, REF_MAPPINGS = 1024, REF_RESV = 4, REF_UNATTACHED = -1 };

struct ref_mapping {
	uint64_t first, last, phys;
	uint32_t flags;
};

/* Exists while it has endpoints. Numbers from 0 to REF_DOMAINS - 1. */
struct ref_domain {
	unsigned endpoints;
	bool bypass;
	unsigned count;
	struct ref_mapping mappings[REF_MAPPINGS];
};

struct reference {
	/* The device. */
	uint64_t input_last, granule, memory_first, memory_last;
	uint32_t domain_first, domain_last;
	unsigned resv_count;
	struct {
		uint64_t first, last;
		bool msi;
	} resv[REF_RESV];
	uint32_t ids[REF_ENDPOINTS];
	bool legacy;
	/* What the driver has made of it. */
	uint64_t features;
	bool bypass;
	int attached[REF_ENDPOINTS]; /* domain, or REF_UNATTACHED */
	struct ref_domain domains[REF_DOMAINS];
};

/* The answers: a status, or REF_UNWRITTEN. */
enum { REF_UNWRITTEN = -1 };

int ref_attach(struct reference *ref, uint32_t domain, uint32_t endpoint, uint32_t flags, uint32_t reserved);
int ref_detach(struct reference *ref, uint32_t domain, uint32_t endpoint);
int ref_map(struct reference *ref, uint32_t domain, const struct ref_mapping *mapping);
int ref_unmap(struct reference *ref, uint32_t domain, uint64_t first, uint64_t last, uint32_t reserved);
/* `room`: bytes for properties. */
int ref_probe(const struct reference *ref, uint32_t endpoint, uint64_t room);

/*
 * The driver writes `bypass`; a reset of the device, with what `bypass` becomes; the features that the next driver
 * accepts.
 */
void ref_write_bypass(struct reference *ref, bool bypass);
void ref_reset(struct reference *ref);
void ref_accept(struct reference *ref, uint64_t features);

/* What becomes of an access of one byte. */
enum ref_outcome { REF_REACHES, REF_BLOCKED, REF_NOT_MAPPED, REF_NO_RIGHT, REF_NO_MEMORY };

/* `access`: VIO_MAP_F_READ, VIO_MAP_F_WRITE or both. *gpa: where it goes, for REF_REACHES. */
enum ref_outcome ref_access(const struct reference *ref, unsigned endpoint, uint64_t address, uint32_t access,
			    uint64_t *gpa);

#endif
