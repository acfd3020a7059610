/* SPDX-License-Identifier: BSD-2-Clause */
/* A front end's life: made, connected, served, disconnected. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <viommu/event.h>

#include "lib/util/sized.h"
#include "lib/vhost_user/front/front.h"
#include "lib/vhost_user/wire/reaper.h"

enum {
	REPLY_MS = 5000,
	SETUP_MS = 120000,
	UNCLOSED = 8, /* descriptors of earlier back ends that are not closed yet, for a new connection */
};

/* Begins with the context's lock held. */
static void on_invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct viommu_vhu *vhu = opaque;

	front_iotlb_invalidate(&vhu->iotlb, (struct range){first.value, last.value}, ticket);
}

/* What the guest has just mapped it will use soon. With the context's lock held, on the thread that maps. */
static void on_map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	struct viommu_vhu *vhu = opaque;
	struct range range = {first.value, last.value};

	/*
	 * After an attach and a resume, which tell of everything, the back end asks for what it needs, but perhaps not
	 * its rings; and what was put off because the endpoint was paused is to be answered.
	 */
	if (range_contains(range, front_everything)) {
		front_mark_parts(&vhu->iotlb, range);
		front_wake(&vhu->link);
	} else if (vhu->config.push_maps) {
		front_push(&vhu->iotlb, range);
	}
}

static const struct viommu_client_ops client_ops = {
	.size = sizeof(struct viommu_client_ops), .invalidate = on_invalidate, .map = on_map};

static bool front_usable(const struct viommu_vhu_config *config)
{
	struct range gpa;

	if (!config->queues || config->queues > VIOMMU_VHU_RINGS || config->config_size > VIOMMU_VHU_CONFIG)
		return false;
	if (config->endpoint)
		return true;
	if (config->iommu || !config->region_count || config->region_count > VIOMMU_VHU_REGIONS)
		return false;
	for (unsigned i = 0; i < config->region_count; i++) {
		const struct viommu_vhu_region *region = &config->regions[i];

		if (!region->host || region->fd < 0 || !range_from_len(region->gpa.value, region->size, &gpa))
			return false;
	}
	return true;
}

static void front_copy_config(struct viommu_vhu *vhu, const struct viommu_vhu_config *config)
{
	vhu->config = *config;
	vhu->ops = *config->ops;
	vhu->config.ops = &vhu->ops;
	if (!config->endpoint)
		memcpy(vhu->regions, config->regions, config->region_count * sizeof(vhu->regions[0]));
	vhu->config.regions = vhu->regions;
	vhu->config.features &=
		~(1ull << FRONT_F_RING_PACKED | 1ull << VHU_F_PROTOCOL_FEATURES | 1ull << FRONT_F_ACCESS_PLATFORM);
	if (config->iommu)
		vhu->config.features |= 1ull << FRONT_F_ACCESS_PLATFORM;
	if (!config->reply_ms)
		vhu->config.reply_ms = REPLY_MS;
	if (!config->setup_ms)
		vhu->config.setup_ms = SETUP_MS;
}

/* Our own copies of what the caller has given. */
static int front_take_config(struct viommu_vhu_config *config, struct viommu_vhu_ops *ops,
			     const struct viommu_vhu_config *given)
{
	int err = sized_take(config, sizeof(*config), given);

	if (!err)
		err = config->ops ? sized_take(ops, sizeof(*ops), config->ops) : -EINVAL;
	config->ops = ops;
	return err;
}

int viommu_vhu_create(const struct viommu_vhu_config *given, struct viommu_vhu **out)
{
	struct viommu_vhu_config own;
	struct viommu_vhu_ops ops;
	const struct viommu_vhu_config *config = &own;
	int err = front_take_config(&own, &ops, given);

	if (err || !front_usable(config))
		return err ? err : -EINVAL;
	struct viommu_vhu *vhu = calloc(1, sizeof(*vhu));

	if (!vhu)
		return -ENOMEM;
	front_copy_config(vhu, config);
	vhu->rings.inflight_fd = -1;
	vhu->agenda = (struct front_agenda){.vhu = vhu, .link = &vhu->link, .next = front_next_script};
	vhu->space.link = &vhu->link;
	vhu->requests = (struct front_requests){.link = &vhu->link, .iotlb = &vhu->iotlb, .space = &vhu->space};
	err = viommu_event_setup();
	if (err)
		goto err_free;
	err = front_link_init(&vhu->link, &vhu->config);
	if (err)
		goto err_free;
	err = front_iotlb_init(&vhu->iotlb, &vhu->config, &vhu->link);
	if (err)
		goto err_link;
	if (config->iommu)
		err = viommu_client_register(config->endpoint, &client_ops, vhu, &vhu->iotlb.client);
	if (err)
		goto err_iotlb;
	*out = vhu;
	return 0;
err_iotlb:
	front_iotlb_fini(&vhu->iotlb);
err_link:
	front_link_fini(&vhu->link);
err_free:
	free(vhu);
	return err;
}

/* Cut the connection. Whatever the back end was to forget it has no say in any more. */
static void front_cut(struct viommu_vhu *vhu)
{
	const bool open = vhu->link.open;
	/* First: an invalidation that finds the IOTLB still on is covered by this ticket, a later one asks nobody. */
	const uint64_t asked = front_iotlb_reset(&vhu->iotlb);

	front_link_close(&vhu->link);
	if (open && vhu->iotlb.client)
		viommu_client_ack(vhu->iotlb.client, asked);
	front_table_drop(&vhu->iotlb);
	front_requests_close(&vhu->requests);
	front_begin_script(&vhu->agenda, NULL);
	vhu->agenda.waiting = false;
	vhu->negotiated = false;
	if (open)
		front_note_loss(vhu);
}

void viommu_vhu_destroy(struct viommu_vhu *vhu)
{
	if (!vhu)
		return;
	front_cut(vhu);
	viommu_client_unregister(vhu->iotlb.client);
	if (vhu->rings.inflight_fd >= 0)
		reaper_close(vhu->link.account, vhu->rings.inflight_fd);
	front_iotlb_fini(&vhu->iotlb);
	front_link_fini(&vhu->link);
	free(vhu);
}

int viommu_vhu_connect(struct viommu_vhu *vhu, int fd)
{
	int err = vhu->link.open ? -EBUSY : vhu->rings.stuck ? -ENOTRECOVERABLE : 0;

	if (!err && viommu_vhu_crowded(vhu))
		err = -ETOOMANYREFS;
	if (!err)
		err = front_link_open(&vhu->link, fd);
	if (err) {
		/* The back end may have sent descriptors already, which go with it. */
		reaper_close(vhu->link.account, fd);
		return err;
	}
	vhu->offered = 0;
	vhu->queues = 0;
	vhu->memory.table.count = 0;
	vhu->space.stale = false;
	vhu->space.write_head = vhu->space.write_count = 0;
	front_begin_script(&vhu->agenda, &front_negotiation);
	front_proceed(&vhu->agenda);
	return 0;
}

void viommu_vhu_disconnect(struct viommu_vhu *vhu)
{
	if (!vhu->link.open)
		return;
	front_cut(vhu);
	if (vhu->rings.stopping)
		front_finish_stop(vhu);
}

int viommu_vhu_fd(const struct viommu_vhu *vhu)
{
	return vhu->link.epoll;
}

/* The connection has failed: tell it, once. */
static void front_drop(struct viommu_vhu *vhu)
{
	char why[FRONT_WHY];

	memcpy(why, vhu->link.why, sizeof(why));
	front_cut(vhu);
	vhu->link.why[0] = 0;
	vhu->config.ops->lost(vhu->config.opaque, why);
	if (vhu->rings.stopping && !vhu->link.open)
		front_finish_stop(vhu);
}

static bool front_works(const struct viommu_vhu *vhu)
{
	return vhu->link.open && !vhu->link.why[0];
}

void viommu_vhu_serve(struct viommu_vhu *vhu)
{
	struct epoll_event events[3];
	int count = epoll_wait(vhu->link.epoll, events, 3, 0);
	bool hung_up = false;

	if (count <= 0)
		return;
	front_check_time(&vhu->link);
	if (front_works(vhu))
		front_receive(&vhu->link, &vhu->agenda, &vhu->iotlb);
	if (front_works(vhu))
		front_table_serve(&vhu->iotlb);
	if (front_works(vhu))
		front_tell_parts(&vhu->iotlb);
	/* Sooner told of what it sent than that it has gone. */
	if (vhu->requests.open && !vhu->link.why[0])
		front_requests_serve(&vhu->requests);
	front_proceed(&vhu->agenda); /* the back end may have said that its configuration has changed */
	if (front_works(vhu))
		front_flush(&vhu->link);
	/* The back end's channel is not read while there is too much to answer: that it was closed is seen all the
	 * same. */
	for (int i = 0; i < count; i++)
		hung_up |= events[i].data.u32 == FRONT_EVENT_REQUESTS && events[i].events & (EPOLLHUP | EPOLLERR);
	if (front_works(vhu) && hung_up)
		front_fail(&vhu->link, "the back end has closed its channel");
	if (vhu->link.open && vhu->link.why[0])
		front_drop(vhu);
	front_requests_poll(&vhu->requests);
}

bool viommu_vhu_ready(const struct viommu_vhu *vhu)
{
	return vhu->negotiated;
}

/* What is left of the last ones must not grow with each. */
bool viommu_vhu_crowded(const struct viommu_vhu *vhu)
{
	return reaper_unclosed(vhu->link.account) > UNCLOSED;
}

bool viommu_vhu_stuck(const struct viommu_vhu *vhu)
{
	return vhu->rings.stuck;
}

void viommu_vhu_flush(struct viommu_vhu *vhu)
{
	front_iotlb_flush(&vhu->iotlb);
}

int viommu_vhu_stats_get(struct viommu_vhu *vhu, struct viommu_vhu_stats *out)
{
	const struct front_stats *stats = &vhu->link.stats;
	const struct viommu_vhu_stats now = {
		.connections = stats->connections,
		.misses = stats->misses,
		.updates = stats->updates,
		.invalidations = stats->invalidations,
		.access_fails = stats->access_fails,
		.tables = stats->tables,
		.refused = stats->refused,
	};
	return sized_give(out, &now, sizeof(now));
}
