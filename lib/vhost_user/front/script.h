/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Negotiating, starting, stopping are *scripts*: one request at a time, the next when the answer is there. The agenda
 * is the script that is under way; its owner says which one comes next.
 */
#ifndef LIB_VHOST_USER_FRONT_SCRIPT_H
#define LIB_VHOST_USER_FRONT_SCRIPT_H

#include "lib/vhost_user/front/link.h"

/* One request of a script. */
struct front_step {
	uint32_t request;
	uint64_t needs;  /* left out where this protocol feature, as a bit, was not negotiated; 0: none is needed */
	bool answered;   /* with more than an acknowledgement */
	bool may_refuse; /* the back end; a line is all that comes of it */
};

/* The callbacks find out from the request which step it is. */
struct front_script {
	const struct front_step *steps;
	unsigned count;
	/* False: this request is left out. May be NULL. */
	bool (*wanted)(const struct viommu_vhu *vhu, uint32_t request);
	/*
	 * Payload and descriptors, which are closed when they are sent; 0, or the connection has been given up
	 * (front_fail()). A request that it does not know has none.
	 */
	int (*fill)(struct viommu_vhu *vhu, struct channel_message *message);
	/* The answer of a step that has one, with at most one descriptor: to be taken, or closed by the caller. */
	int (*answer)(struct viommu_vhu *vhu, struct channel_message *message);
	bool (*again)(struct viommu_vhu *vhu); /* after the last step; true: from the first on. May be NULL */
	const struct front_script *next;
	void (*end)(struct viommu_vhu *vhu); /* without next. May be NULL */
};

struct front_agenda {
	struct viommu_vhu *vhu; /* the owner, for its callbacks alone */
	struct front_link *link;
	const struct front_script *(*next)(struct viommu_vhu *vhu); /* what is to be done now, or NULL */

	const struct front_script *script;
	unsigned step;
	bool waiting;    /* for an answer */
	bool proceeding; /* inside front_proceed() */
};

void front_begin_script(struct front_agenda *agenda, const struct front_script *script);
/* Go on until an answer is awaited or there is nothing left to do. */
void front_proceed(struct front_agenda *agenda);
int front_script_answer(struct front_agenda *agenda, struct channel_message *message);

#endif
