/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's configuration space, as the back end gives it: a copy is kept, so that a driver's read never waits. */
#include <errno.h>
#include <string.h>

#include "lib/vhost_user/front/front.h"

int vhu_fill_space(struct viommu_vhu *vhu, struct channel_message *message)
{
	vhu->stale = false; /* what changes from now on is told anew */
	message->config = (struct vhu_config){.size = vhu->config.config_size};
	/* The answer's size is the request's. */
	message->header.size = sizeof(message->config) + vhu->config.config_size;
	return 0;
}

int vhu_got_space(struct viommu_vhu *vhu, struct channel_message *message)
{
	unsigned size = vhu->config.config_size;
	const uint8_t *bytes = message->payload + sizeof(message->config);

	if (message->fd_count || message->header.size != sizeof(message->config) + size || message->config.offset ||
	    message->config.size != size)
		return vhu_fail(vhu, "malformed answer to request %u", message->header.request);
	bool changed = vhu->told && memcmp(vhu->space, bytes, size);

	memcpy(vhu->space, bytes, size);
	vhu->told = true;
	if (changed && vhu->config.ops->config_changed)
		vhu->config.ops->config_changed(vhu->config.opaque);
	return 0;
}

static int fill_write(struct viommu_vhu *vhu, struct channel_message *message)
{
	const struct vhu_write *first = &vhu->writes[vhu->write_head];

	message->config = (struct vhu_config){.offset = first->offset, .size = first->size};
	memcpy(message->payload + sizeof(message->config), first->data, first->size);
	message->header.size = (uint32_t)sizeof(message->config) + first->size;
	vhu->write_head = (vhu->write_head + 1) % VHU_WRITES;
	vhu->write_count--;
	return 0;
}

static const struct vhu_step read_steps[] = {
	{VHU_GET_CONFIG, .fill = vhu_fill_space, .answer = vhu_got_space},
};

static const struct vhu_step write_steps[] = {
	{VHU_SET_CONFIG, .may_refuse = true, .fill = fill_write},
};

const struct vhu_script vhu_read_space = {.steps = read_steps, .count = 1};
const struct vhu_script vhu_write_space = {.steps = write_steps, .count = 1, .next = &vhu_read_space};

static bool inside(const struct viommu_vhu *vhu, unsigned offset, unsigned size)
{
	return offset <= vhu->config.config_size && size <= vhu->config.config_size - offset;
}

int viommu_vhu_config_read(const struct viommu_vhu *vhu, unsigned offset, void *buffer, unsigned size)
{
	if (!inside(vhu, offset, size))
		return -EINVAL;
	if (!vhu->told)
		return -EAGAIN;
	memcpy(buffer, vhu->space + offset, size);
	return 0;
}

int viommu_vhu_config_write(struct viommu_vhu *vhu, unsigned offset, const void *data, unsigned size)
{
	if (!size || !inside(vhu, offset, size))
		return -EINVAL;
	if (!vhu->negotiated)
		return -ENOTCONN;
	if (vhu->write_count == VHU_WRITES)
		return -EAGAIN;
	struct vhu_write *place = &vhu->writes[(vhu->write_head + vhu->write_count++) % VHU_WRITES];

	*place = (struct vhu_write){.offset = offset, .size = size};
	memcpy(place->data, data, size);
	vhu_proceed(vhu);
	return 0;
}
