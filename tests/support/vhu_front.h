/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A front end with a guest's memory behind it, and at the other end of its socket a back end that does as a test says.
 * Back end and front end take turns in one thread, unless a test does otherwise.
 */
#ifndef TESTS_SUPPORT_VHU_FRONT_H
#define TESTS_SUPPORT_VHU_FRONT_H

#include <viommu/viommu.h>

#include "tests/support/vhu_back.h"

enum { VHU_RAM = 1 << 20, VHU_PAGE = 4096 };

struct front {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	uint8_t *ram;
	int ram_fd;
	struct viommu_vhu_config config;
	struct viommu_vhu *vhu;
	struct back back;
	int fds[3]; /* kick, call, err of all rings */
	/* What was called back. */
	unsigned ready, started, stopped, lost, config_changed, lines;
	uint16_t bases[VHU_TEST_RINGS];
	char why[200];
};

/*
 * A context with VHU_RAM bytes of memory at address 0, an endpoint in a domain, and a front end with an IOMMU; not
 * connected.
 */
int front_setup(void **state);
int front_teardown(void **state);
/* Make the front end anew, as f->config now says. */
void front_recreate(struct front *f);

/* Connect to a fresh back end that can do everything; what it answers may be changed before front_pump(). */
void front_connect(struct front *f);
/* Let both sides work until neither has anything to do. */
void front_pump(struct front *f);
/*
 * Start `count` rings whose three parts lie in pages of their own from IOVA 0x10000 on; they are mapped one to one
 * first.
 */
int front_start(struct front *f, unsigned count);
/* The back end asks for the first ring, as one would, and so has something to forget. It is not counted in f->back. */
void front_ask(struct front *f);
struct viommu_vhu_ring front_ring(struct front *f, unsigned index);
void front_map(struct front *f, uint64_t iova, uint64_t size, uint64_t gpa, unsigned access);
/* Unmap and begin; not polled. */
void front_unmap(struct front *f, uint64_t iova, uint64_t size);

#endif
