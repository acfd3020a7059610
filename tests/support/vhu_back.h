/* SPDX-License-Identifier: BSD-2-Clause */
/* A back end of vhost-user that answers as it should, but for what a test makes it do otherwise. */
#ifndef TESTS_SUPPORT_VHU_BACK_H
#define TESTS_SUPPORT_VHU_BACK_H

#include "lib/vhost_user/wire/channel.h"

#include "tests/support/test.h"

enum { VHU_TEST_RINGS = 8, VHU_SEEN = 1024 };

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
