/* SPDX-License-Identifier: BSD-2-Clause */
/* A front end's life: made, connected, served, disconnected. */
#include <viommu/event.h>

#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

int vhu_fail(struct viommu_vhu *vhu, const char *format, ...)
{
	va_list args;

	if (vhu->why[0])
		return -EPROTO;
	va_start(args, format);
	vsnprintf(vhu->why, sizeof(vhu->why), format, args);
	va_end(args);
	vhu_wake(vhu);
	return -EPROTO;
}

void vhu_log(struct viommu_vhu *vhu, const char *format, ...)
{
	char line[VHU_WHY];
	va_list args;

	if (vhu->lines == VHU_LOG_LINES || !vhu->config.ops->log)
		return;
	vhu->lines++;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	vhu->config.ops->log(vhu->config.opaque, line);
}

static bool region_usable(const struct viommu_vhu_region *region)
{
	struct range gpa;

	return region->host && region->fd >= 0 && range_from_len(region->gpa.value, region->size, &gpa);
}

static bool usable(const struct viommu_vhu_config *config)
{
	if (!config->queues || config->queues > VIOMMU_VHU_RINGS || config->config_size > VIOMMU_VHU_CONFIG ||
	    !config->ops)
		return false;
	if (config->endpoint)
		return true;
	if (config->iommu || !config->region_count || config->region_count > VIOMMU_VHU_REGIONS)
		return false;
	for (unsigned i = 0; i < config->region_count; i++)
		if (!region_usable(&config->regions[i]))
			return false;
	return true;
}

static void copy_config(struct viommu_vhu *vhu, const struct viommu_vhu_config *config)
{
	vhu->config = *config;
	if (!config->endpoint)
		memcpy(vhu->regions, config->regions, config->region_count * sizeof(vhu->regions[0]));
	vhu->config.regions = vhu->regions;
	vhu->config.features &=
		~(1ull << VHU_F_RING_PACKED | 1ull << VHU_F_PROTOCOL_FEATURES | 1ull << VHU_F_ACCESS_PLATFORM);
	if (config->iommu)
		vhu->config.features |= 1ull << VHU_F_ACCESS_PLATFORM;
	if (!config->reply_ms)
		vhu->config.reply_ms = VHU_REPLY_MS;
	if (!config->setup_ms)
		vhu->config.setup_ms = VHU_SETUP_MS;
}

int viommu_vhu_create(const struct viommu_vhu_config *config, struct viommu_vhu **out)
{
	if (!usable(config))
		return -EINVAL;
	struct viommu_vhu *vhu = calloc(1, sizeof(*vhu));

	if (!vhu)
		return -ENOMEM;
	vhu->inflight_fd = -1;
	copy_config(vhu, config);
	int err = viommu_event_setup();

	if (err)
		goto err_free;
	err = reaper_open(&vhu->account);
	if (err)
		goto err_free;
	err = vhu_link_init(vhu);
	if (err)
		goto err_account;
	if (config->iommu)
		err = viommu_client_register(config->endpoint, &vhu_client_ops, vhu, &vhu->client);
	if (err)
		goto err_link;
	*out = vhu;
	return 0;
err_link:
	vhu_link_fini(vhu);
err_account:
	reaper_leave(vhu->account);
err_free:
	free(vhu);
	return err;
}

/* Cut the connection. Whatever the back end was to forget it has no say in any more. */
static void cut(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	bool open = vhu->open;
	uint64_t asked = vhu->asked;

	if (open) {
		epoll_ctl(vhu->epoll, EPOLL_CTL_DEL, vhu->channel.fd, NULL);
		channel_fini(&vhu->channel);
	}
	vhu->open = vhu->iotlb = vhu->updated = vhu->runs = false;
	vhu->owed_ns = 0;
	vhu->pending_count = vhu->updates = vhu->invals = vhu->untold = 0;
	memset(vhu->starts, 0, sizeof(vhu->starts));
	vhu->broken = 0;
	lock_drop(&vhu->lock);
	if (open && vhu->client)
		viommu_client_ack(vhu->client, asked);
	vhu_drop_table(vhu);
	vhu_close_requests(vhu);
	vhu->negotiated = vhu->waiting = false;
	vhu->script = NULL;
	if (open)
		vhu_note_loss(vhu);
}

void viommu_vhu_destroy(struct viommu_vhu *vhu)
{
	if (!vhu)
		return;
	cut(vhu);
	viommu_client_unregister(vhu->client);
	if (vhu->inflight_fd >= 0)
		reaper_close(vhu->account, vhu->inflight_fd);
	reaper_leave(vhu->account);
	vhu_link_fini(vhu);
	free(vhu);
}

static void forget_connection(struct viommu_vhu *vhu)
{
	vhu->why[0] = 0;
	vhu->lines = 0;
	vhu->offered = vhu->protocol = vhu->protocol_offered = 0;
	vhu->reply_ack = vhu->stale = false;
	vhu->queues = 0;
	vhu->memory.count = 0;
	vhu->write_head = vhu->write_count = 0;
}

static int open_socket(struct viommu_vhu *vhu, int fd)
{
	lock_take(&vhu->lock);
	int err = channel_init(&vhu->channel, fd, vhu->account);

	if (!err) {
		vhu->events = EPOLLIN;
		err = vhu_watch(vhu, fd, VHU_EVENT_SOCKET);
		if (err)
			lock_fini(&vhu->channel.lock);
	}
	vhu->open = !err;
	lock_drop(&vhu->lock);
	return err;
}

int viommu_vhu_connect(struct viommu_vhu *vhu, int fd)
{
	int err = vhu->open ? -EBUSY : vhu->hopeless ? -ENOTRECOVERABLE : 0;

	if (!err && viommu_vhu_crowded(vhu))
		err = -ETOOMANYREFS;
	if (!err)
		forget_connection(vhu);
	if (!err)
		err = open_socket(vhu, fd);
	if (err) {
		/* The back end may have sent descriptors already, which go with it. */
		reaper_close(vhu->account, fd);
		return err;
	}
	vhu_begin_script(vhu, &vhu_negotiation);
	vhu_proceed(vhu);
	return 0;
}

void viommu_vhu_disconnect(struct viommu_vhu *vhu)
{
	if (!vhu->open)
		return;
	cut(vhu);
	if (vhu->stopping)
		vhu_finish_stop(vhu);
}

int viommu_vhu_fd(const struct viommu_vhu *vhu)
{
	return vhu->epoll;
}

/* It is not read while there is too much to answer: that it was closed is seen all the same. */
static bool requests_hung_up(const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++)
		if (events[i].data.u32 == VHU_EVENT_REQUESTS && (events[i].events & (EPOLLHUP | EPOLLERR)))
			return true;
	return false;
}

static void serve_timer(struct viommu_vhu *vhu)
{
	uint64_t expired;
	struct vhu_pending first;
	bool late;

	if (read(vhu->timer, &expired, sizeof(expired)) < 0)
		return;
	lock_take(&vhu->lock);
	late = vhu_late_locked(vhu, &first);
	lock_drop(&vhu->lock);
	if (late && first.request == VHU_IOTLB_MSG)
		vhu_note_late(vhu);
	if (late)
		vhu_fail(vhu, "no answer to request %u within %u ms", first.request, vhu_limit_ms(vhu, &first));
}

static void flush(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	int err = vhu->open ? channel_flush(&vhu->channel) : 0;

	if (err && err != -EAGAIN && !vhu->broken)
		vhu->broken = err;
	err = vhu->broken;
	lock_drop(&vhu->lock);
	if (err == -EPIPE)
		vhu_fail(vhu, "the back end has closed the connection");
	else if (err == -ENOBUFS)
		vhu_fail(vhu, "the back end does not read what it is sent");
	else if (err)
		vhu_fail(vhu, "sending to the back end: %s", strerror(-err));
}

/* The connection has failed: tell it, once. */
static void drop(struct viommu_vhu *vhu)
{
	char why[VHU_WHY];

	memcpy(why, vhu->why, sizeof(why));
	cut(vhu);
	vhu->why[0] = 0;
	vhu->config.ops->lost(vhu->config.opaque, why);
	if (vhu->stopping && !vhu->open)
		vhu_finish_stop(vhu);
}

void viommu_vhu_serve(struct viommu_vhu *vhu)
{
	struct epoll_event events[3];
	int count = epoll_wait(vhu->epoll, events, 3, 0);

	if (count <= 0)
		return;
	serve_timer(vhu);
	if (vhu->open && !vhu->why[0])
		vhu_receive(vhu);
	if (vhu->open && !vhu->why[0])
		vhu_serve_table(vhu);
	if (vhu->open && !vhu->why[0])
		vhu_retell(vhu);
	/* Sooner told of what it sent than that it has gone. */
	if (vhu->requests_open && !vhu->why[0])
		vhu_serve_requests(vhu);
	if (vhu->open && !vhu->why[0])
		flush(vhu);
	if (vhu->open && !vhu->why[0] && requests_hung_up(events, count))
		vhu_fail(vhu, "the back end has closed its channel");
	if (vhu->open && vhu->why[0])
		drop(vhu);
	vhu_poll_for(vhu);
}

bool viommu_vhu_ready(const struct viommu_vhu *vhu)
{
	return vhu->negotiated;
}

/* What is left of the last ones must not grow with each. */
bool viommu_vhu_crowded(const struct viommu_vhu *vhu)
{
	return reaper_unclosed(vhu->account) > VHU_UNCLOSED;
}

bool viommu_vhu_stuck(const struct viommu_vhu *vhu)
{
	return vhu->hopeless;
}

void viommu_vhu_stats_get(struct viommu_vhu *vhu, struct viommu_vhu_stats *out)
{
	lock_take(&vhu->lock);
	*out = vhu->stats;
	lock_drop(&vhu->lock);
}
