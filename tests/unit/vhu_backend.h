/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end that does as a test says, at the other end of a front end's socket, and the front end with a guest's memory behind it.
 * Back end and front end take turns in one thread, unless a test does otherwise.
 */
#ifndef TESTS_UNIT_VHU_BACKEND_H
#define TESTS_UNIT_VHU_BACKEND_H

#include <viommu/viommu.h>

#include "lib/client/channel.h"

#include "tests/test.h"

enum { VHU_RAM = 1 << 20, VHU_PAGE = 4096, VHU_TEST_RINGS = 8, VHU_SEEN = 1024 };

struct back {
	struct channel channel;
	bool open;
	struct channel requests; /* the back end's own */
	bool requests_open;
	uint64_t features, protocol, queues;
	uint8_t space[256];

	/* Sees each request before it is answered. True: it has dealt with it. */
	bool (*hook)(struct back *back, struct channel_message *message);
	void *opaque;

	/* What came. */
	uint32_t seen[VHU_SEEN];
	unsigned seen_count;
	uint64_t acked_features, acked_protocol;
	struct vhu_memory memory;
	int memory_fds[VHU_REGIONS_MAX];
	struct vhu_vring_addr addrs[VHU_TEST_RINGS];
	uint32_t sizes[VHU_TEST_RINGS], bases[VHU_TEST_RINGS];
	bool enabled[VHU_TEST_RINGS];
	unsigned kicks, calls, errs;
	struct vhu_iotlb last_update, last_invalidate;
	unsigned updates, invalidates;
	uint64_t mtu;
	struct vhu_inflight inflight;
	unsigned inflight_given;
};

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

/* A context with VHU_RAM bytes of memory at address 0, an endpoint in a domain, and a front end with an IOMMU; not connected. */
int front_setup(void **state);
int front_teardown(void **state);
/* Make the front end anew, as f->config now says. */
void front_recreate(struct front *f);

/* Connect to a fresh back end that can do everything; what it answers may be changed before front_pump(). */
void front_connect(struct front *f);
/* Let both sides work until neither has anything to do. */
void front_pump(struct front *f);
/* Start `count` rings whose three parts lie in pages of their own from IOVA 0x10000 on; they are mapped one to one first. */
int front_start(struct front *f, unsigned count);
struct viommu_vhu_ring front_ring(struct front *f, unsigned index);
void front_map(struct front *f, uint64_t iova, uint64_t size, uint64_t gpa, unsigned access);
/* Unmap and begin; not polled. */
void front_unmap(struct front *f, uint64_t iova, uint64_t size);

/* Answer all that has come. False: nothing had. */
bool back_serve(struct back *back);
void back_close(struct back *back);
void back_reply(struct back *back, const struct channel_message *request, const void *payload, uint32_t size);
void back_reply_u64(struct back *back, const struct channel_message *request, uint64_t value);
/* A request of its own; back_request_answer() gives the answer to it (false: there is none). */
void back_request(struct back *back, uint32_t request, uint32_t flags, const void *payload, uint32_t size);
bool back_request_answer(struct back *back, uint64_t *status);
void back_iotlb(struct back *back, unsigned type, uint64_t iova, unsigned access, uint32_t flags);
/* How often a request came. */
unsigned back_saw(const struct back *back, uint32_t request);

#endif
