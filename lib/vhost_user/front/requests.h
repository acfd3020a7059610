/* SPDX-License-Identifier: BSD-2-Clause */
/* What the back end asks, over a channel of its own: section "Back-end message types". */
#ifndef LIB_VHOST_USER_FRONT_REQUESTS_H
#define LIB_VHOST_USER_FRONT_REQUESTS_H

#include "lib/vhost_user/front/iotlb.h"
#include "lib/vhost_user/front/space.h"

struct front_requests {
	struct front_link *link;
	struct front_iotlb *iotlb;
	struct front_space *space;

	bool open;
	struct channel channel;
	uint32_t events; /* what is polled for */
	/* A miss that invalidations overtook too often, or that may not be answered yet; nothing is read meanwhile. */
	bool deferred;
	struct vhu_header header;
	struct front_ask ask;
};

/* Make the channel; the back end's end of it goes with the message. */
int front_requests_fill(struct front_requests *requests, struct channel_message *message);
void front_requests_close(struct front_requests *requests);
void front_requests_serve(struct front_requests *requests);
/* Poll it for what there is to do. */
void front_requests_poll(struct front_requests *requests);

#endif
