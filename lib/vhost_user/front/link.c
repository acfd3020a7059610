/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket as the rest sees it: one descriptor to poll (an epoll instance with the sockets and a timer in it), the
 * answers that are to come, and how long they may take.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/vhost_user/front/front.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

uint64_t vhu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int vhu_watch(struct viommu_vhu *vhu, int fd, unsigned what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(vhu->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int vhu_link_init(struct viommu_vhu *vhu)
{
	int err;

	vhu->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (vhu->epoll < 0)
		return -errno;
	vhu->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = vhu->timer < 0 ? -errno : vhu_watch(vhu, vhu->timer, VHU_EVENT_TIMER);
	if (err)
		goto err_close;
	err = lock_init(&vhu->lock);
	if (err)
		goto err_close;
	return 0;
err_close:
	if (vhu->timer >= 0)
		close(vhu->timer);
	close(vhu->epoll);
	return err;
}

void vhu_link_fini(struct viommu_vhu *vhu)
{
	close(vhu->timer);
	close(vhu->epoll);
	lock_fini(&vhu->lock);
}

static void set_timer(struct viommu_vhu *vhu, uint64_t at_ns)
{
	struct itimerspec at = {.it_value = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)}};

	timerfd_settime(vhu->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The timer is never set to later than it is. When it is over, it is set for whoever is the first then. */
static void arm_locked(struct viommu_vhu *vhu, uint64_t at_ns) REQUIRES(vhu->lock)
{
	if (vhu->timer_ns && vhu->timer_ns <= at_ns)
		return;
	vhu->timer_ns = at_ns;
	set_timer(vhu, at_ns);
}

void vhu_wake_locked(struct viommu_vhu *vhu)
{
	arm_locked(vhu, 1); /* long ago */
}

void vhu_wake(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	vhu_wake_locked(vhu);
	lock_drop(&vhu->lock);
}

void vhu_wake_at(struct viommu_vhu *vhu, uint64_t ns)
{
	lock_take(&vhu->lock);
	arm_locked(vhu, ns);
	lock_drop(&vhu->lock);
}

void vhu_wake_in(struct viommu_vhu *vhu, unsigned ms)
{
	vhu_wake_at(vhu, vhu_now_ns() + (uint64_t)ms * NS_PER_MS);
}

unsigned vhu_limit_ms(const struct viommu_vhu *vhu, const struct vhu_pending *pending)
{
	if (pending->purpose != VHU_FOR_SCRIPT)
		return vhu->config.reply_ms;
	return pending->request == VHU_SET_MEM_TABLE ? vhu->config.setup_ms : vhu->config.setup_ms / 4;
}

static uint64_t deadline(const struct viommu_vhu *vhu, const struct vhu_pending *pending)
{
	return pending->since_ns + (uint64_t)vhu_limit_ms(vhu, pending) * NS_PER_MS;
}

/* The first invalidation of those pending; NULL: there is none. */
static const struct vhu_pending *first_inval_locked(const struct viommu_vhu *vhu) REQUIRES(vhu->lock)
{
	for (unsigned i = 0; vhu->invals && i < vhu->pending_count; i++) {
		const struct vhu_pending *pending = &vhu->pending[(vhu->pending_head + i) % VHU_PENDING];

		if (pending->purpose == VHU_FOR_INVALIDATE)
			return pending;
	}
	return NULL;
}

/*
 * Whose time is over first; NULL: nothing is pending. Answers come in order, so what waits behind one for a script has
 * its time as well: the first one's is looked at. But the guest waits for an invalidation, which has its own time
 * wherever it stands.
 */
static const struct vhu_pending *most_urgent_locked(const struct viommu_vhu *vhu) REQUIRES(vhu->lock)
{
	const struct vhu_pending *first = &vhu->pending[vhu->pending_head], *inval = first_inval_locked(vhu);

	if (!vhu->pending_count)
		return NULL;
	return inval && deadline(vhu, inval) < deadline(vhu, first) ? inval : first;
}

/* Poll a socket for just what it is wanted for. */
static void change_events(struct viommu_vhu *vhu, int fd, unsigned what, uint32_t *now, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data.u32 = what};

	if (*now == wanted)
		return;
	*now = wanted;
	epoll_ctl(vhu->epoll, EPOLL_CTL_MOD, fd, &event);
}

static void poll_socket_locked(struct viommu_vhu *vhu) REQUIRES(vhu->lock)
{
	uint32_t wanted = EPOLLIN | (channel_unsent(&vhu->channel) ? EPOLLOUT : 0);

	change_events(vhu, vhu->channel.fd, VHU_EVENT_SOCKET, &vhu->events, wanted);
}

static void push_locked(struct viommu_vhu *vhu, const struct vhu_pending *pending) REQUIRES(vhu->lock)
{
	struct vhu_pending *place = &vhu->pending[(vhu->pending_head + vhu->pending_count++) % VHU_PENDING];

	*place = *pending;
	if (!place->since_ns)
		place->since_ns = vhu_now_ns();
	vhu->updates += pending->purpose == VHU_FOR_UPDATE;
	vhu->invals += pending->purpose == VHU_FOR_INVALIDATE;
	if (vhu->pending_count == 1 || pending->purpose == VHU_FOR_INVALIDATE)
		arm_locked(vhu, deadline(vhu, place));
}

void vhu_send_locked(struct viommu_vhu *vhu, const struct channel_message *message, const struct vhu_pending *pending)
{
	if (!vhu->open || vhu->broken)
		return;
	if (pending && vhu->pending_count == VHU_PENDING)
		vhu->broken = -ENOBUFS;
	else
		vhu->broken = channel_send(&vhu->channel, message);
	if (vhu->broken) {
		vhu_wake_locked(vhu);
		return;
	}
	if (pending)
		push_locked(vhu, pending);
	poll_socket_locked(vhu);
}

bool vhu_take_pending_locked(struct viommu_vhu *vhu, struct vhu_pending *out)
{
	if (!vhu->pending_count)
		return false;
	*out = vhu->pending[vhu->pending_head];
	vhu->pending_head = (vhu->pending_head + 1) % VHU_PENDING;
	vhu->pending_count--;
	vhu->updates -= out->purpose == VHU_FOR_UPDATE;
	vhu->invals -= out->purpose == VHU_FOR_INVALIDATE;
	const struct vhu_pending *next = most_urgent_locked(vhu);

	if (next)
		arm_locked(vhu, deadline(vhu, next));
	return true;
}

bool vhu_late_locked(struct viommu_vhu *vhu, struct vhu_pending *out)
{
	const struct vhu_pending *urgent = most_urgent_locked(vhu);

	vhu->timer_ns = 0;
	if (!urgent)
		return false;
	*out = *urgent;
	if (vhu_now_ns() >= deadline(vhu, urgent))
		return true;
	arm_locked(vhu, deadline(vhu, urgent));
	return false;
}

void vhu_poll_for(struct viommu_vhu *vhu)
{
	lock_take(&vhu->lock);
	bool room = vhu->updates < VHU_UPDATES && !vhu->deferred;

	if (vhu->open)
		poll_socket_locked(vhu);
	lock_drop(&vhu->lock);
	if (vhu->requests_open)
		change_events(vhu, vhu->requests.fd, VHU_EVENT_REQUESTS, &vhu->requests_events,
			      (room ? EPOLLIN : 0) | (channel_unsent(&vhu->requests) ? EPOLLOUT : 0));
}
