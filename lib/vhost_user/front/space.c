/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/space.h"

int front_space_fill(struct front_space *space, struct channel_message *message)
{
	const unsigned size = space->link->config->config_size;

	space->stale = false; /* what changes from now on is told anew */
	message->config = (struct vhu_config){.size = size};
	/* The answer's size is the request's. */
	message->header.size = (uint32_t)sizeof(message->config) + size;
	return 0;
}

int front_space_answer(struct front_space *space, const struct channel_message *message)
{
	const struct viommu_vhu_config *config = space->link->config;
	const unsigned size = config->config_size;
	const uint8_t *bytes = message->payload + sizeof(message->config);

	if (message->fd_count || message->header.size != sizeof(message->config) + size || message->config.offset ||
	    message->config.size != size)
		return front_fail(space->link, "malformed answer to request %u", message->header.request);
	bool changed = space->told && memcmp(space->bytes, bytes, size);

	memcpy(space->bytes, bytes, size);
	space->told = true;
	if (changed && config->ops->config_changed)
		config->ops->config_changed(config->opaque);
	return 0;
}

int front_space_fill_write(struct front_space *space, struct channel_message *message)
{
	const struct front_write *first = &space->writes[space->write_head];

	message->config = (struct vhu_config){.offset = first->offset, .size = first->size};
	memcpy(message->payload + sizeof(message->config), first->data, first->size);
	message->header.size = (uint32_t)sizeof(message->config) + first->size;
	space->write_head = (space->write_head + 1) % FRONT_WRITES;
	space->write_count--;
	return 0;
}

static bool space_has(const struct front_space *space, unsigned offset, unsigned size)
{
	const unsigned all = space->link->config->config_size;

	return offset <= all && size <= all - offset;
}

int front_space_read(const struct front_space *space, unsigned offset, void *buffer, unsigned size)
{
	if (!space_has(space, offset, size))
		return -EINVAL;
	if (!space->told)
		return -EAGAIN;
	memcpy(buffer, space->bytes + offset, size);
	return 0;
}

int front_space_write(struct front_space *space, unsigned offset, const void *data, unsigned size, bool connected)
{
	if (!size || !space_has(space, offset, size))
		return -EINVAL;
	if (!connected)
		return -ENOTCONN;
	if (space->write_count == FRONT_WRITES)
		return -EBUSY;
	struct front_write *place = &space->writes[(space->write_head + space->write_count++) % FRONT_WRITES];

	*place = (struct front_write){.offset = offset, .size = size};
	memcpy(place->data, data, size);
	return 0;
}
