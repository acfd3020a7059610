/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's configuration space, as the back end gives it: a copy is kept, so that a driver's read never waits. */
#ifndef LIB_VHOST_USER_FRONT_SPACE_H
#define LIB_VHOST_USER_FRONT_SPACE_H

#include "lib/vhost_user/front/link.h"

enum { FRONT_WRITES = 16 /* of the driver, that wait */ };

struct front_write {
	unsigned offset, size;
	uint8_t data[VIOMMU_VHU_CONFIG];
};

struct front_space {
	struct front_link *link;
	bool told;  /* by this back end or one before */
	bool stale; /* it has changed since */
	uint8_t bytes[VIOMMU_VHU_CONFIG];
	struct front_write writes[FRONT_WRITES];
	unsigned write_head, write_count;
};

/* GET_CONFIG, its answer, and SET_CONFIG with the first write. */
int front_space_fill(struct front_space *space, struct channel_message *message);
int front_space_answer(struct front_space *space, const struct channel_message *message);
int front_space_fill_write(struct front_space *space, struct channel_message *message);
int front_space_read(const struct front_space *space, unsigned offset, void *buffer, unsigned size);
/* Put a write into the queue; -EINVAL, -ENOTCONN, -EAGAIN. */
int front_space_write(struct front_space *space, unsigned offset, const void *data, unsigned size, bool connected);

#endif
