/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/loop.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/util/mutex.h"

enum { EVENTS_PER_ROUND = 32, POLLS_PER_ROUND = 32 };

struct work_list {
	struct loop_work *head;
	struct loop_work **tail;
};

struct loop {
	int epoll_fd, wake_fd;
	atomic_bool stop;
	struct mutex lock;
	struct work_list posted GUARDED_BY(lock);  /* for the next round */
	struct work_list current GUARDED_BY(lock); /* of this round, not run yet */
	bool asleep GUARDED_BY(lock);              /* or about to be: what is posted has to wake it */
	bool (*spare)(void *opaque);
	void *spare_opaque;
	/* Loop thread only. */
	struct loop_poller *pollers, *polled; /* the one to be polled next */
	/* The events of this round, so that loop_remove() can drop some. */
	struct epoll_event events[EVENTS_PER_ROUND];
	int count;
};

static void list_init(struct work_list *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

static struct loop_work *list_pop(struct work_list *list)
{
	struct loop_work *work = list->head;

	if (!work)
		return NULL;
	list->head = work->next;
	if (!list->head)
		list->tail = &list->head;
	return work;
}

static bool list_remove(struct work_list *list, struct loop_work *work)
{
	struct loop_work **at = &list->head;

	while (*at && *at != work)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = work->next;
	if (list->tail == &work->next)
		list->tail = at;
	return true;
}

static int loop_open_fds(struct loop *loop)
{
	struct epoll_event event = {.events = EPOLLIN}; /* data.ptr NULL: wake_fd */
	int ret;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		ret = -errno;
		goto err_epoll;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event)) {
		ret = -errno;
		goto err_wake;
	}
	return 0;

err_wake:
	close(loop->wake_fd);
err_epoll:
	close(loop->epoll_fd);
	return ret;
}

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	ret = loop_open_fds(loop);
	if (ret) {
		free(loop);
		return ret;
	}
	mutex_init(&loop->lock);
	list_init(&loop->posted);
	list_init(&loop->current);
	*out = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	mutex_fini(&loop->lock);
	close(loop->wake_fd);
	close(loop->epoll_fd);
	free(loop);
}

static int loop_control(struct loop *loop, int op, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop->epoll_fd, op, watch->fd, &event) ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_ADD, watch, events);
}

int loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
	loop_control(loop, EPOLL_CTL_DEL, watch, 0);
	for (int i = 0; i < loop->count; i++) {
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
	}
}

/* The counter is at most full, which wakes as well: the result tells nothing. Safe in a signal handler. */
static void loop_wake(struct loop *loop)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t n = write(loop->wake_fd, &one, sizeof(one));

	(void)n;
	errno = saved;
}

void loop_post(struct loop *loop, struct loop_work *work)
{
	bool wake;

	mutex_take(&loop->lock);
	wake = loop->asleep;
	if (!work->queued) {
		work->queued = true;
		work->next = NULL;
		*loop->posted.tail = work;
		loop->posted.tail = &work->next;
		loop->asleep = false; /* one wake-up is enough */
	} else {
		wake = false; /* the thread that queued it has woken the loop, or the loop is at it */
	}
	mutex_drop(&loop->lock);
	if (wake)
		loop_wake(loop);
}

void loop_cancel(struct loop *loop, struct loop_work *work)
{
	mutex_take(&loop->lock);
	if (work->queued && !list_remove(&loop->current, work))
		list_remove(&loop->posted, work);
	work->queued = false;
	mutex_drop(&loop->lock);
}

/* One more of this round's work. It may be posted again as soon as it is off the list. */
static struct loop_work *next_work(struct loop *loop)
{
	struct loop_work *work;

	mutex_take(&loop->lock);
	work = list_pop(&loop->current);
	if (work)
		work->queued = false;
	mutex_drop(&loop->lock);
	return work;
}

static void run_work(struct loop *loop)
{
	struct loop_work *work;

	mutex_take(&loop->lock);
	if (loop->posted.head) {
		loop->current = loop->posted;
		list_init(&loop->posted);
	}
	mutex_drop(&loop->lock);
	while ((work = next_work(loop)))
		work->run(work->opaque);
}

/* data.ptr is NULL for our own wake_fd and for dropped events. */
static void run_watches(struct loop *loop)
{
	eventfd_t wakes;

	for (int i = 0; i < loop->count; i++) {
		struct loop_watch *watch = loop->events[i].data.ptr;

		if (watch)
			watch->ready(watch->opaque, loop->events[i].events);
		else
			eventfd_read(loop->wake_fd, &wakes);
	}
	loop->count = 0;
}

void loop_poller_add(struct loop *loop, struct loop_poller *poller)
{
	poller->next = loop->pollers;
	loop->pollers = poller;
}

void loop_poller_remove(struct loop *loop, struct loop_poller *poller)
{
	struct loop_poller **at = &loop->pollers;

	while (*at && *at != poller)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = poller->next;
	if (loop->polled == poller)
		loop->polled = poller->next;
}

static bool has_posted(struct loop *loop)
{
	mutex_take(&loop->lock);
	const bool has = loop->posted.head;

	mutex_drop(&loop->lock);
	return has;
}

/* Several times, as each look at the file descriptors is a system call; but not while there is other work. */
static void run_pollers(struct loop *loop)
{
	for (unsigned i = 0; i < POLLS_PER_ROUND && loop->pollers && (!i || !has_posted(loop)); i++) {
		struct loop_poller *poller = loop->pollers;

		for (; poller; poller = loop->polled) {
			loop->polled = poller->next;
			poller->poll(poller->opaque);
		}
	}
}

bool loop_polls(const struct loop *loop)
{
	return loop->pollers;
}

void loop_set_spare(struct loop *loop, bool (*spare)(void *opaque), void *opaque)
{
	loop->spare = spare;
	loop->spare_opaque = opaque;
}

bool loop_has_spare(const struct loop *loop)
{
	return !loop->spare || loop->spare(loop->spare_opaque);
}

/* True: nothing is to be done before a file descriptor is ready. */
static bool fall_asleep(struct loop *loop)
{
	mutex_take(&loop->lock);
	loop->asleep = !loop->pollers && !loop->posted.head;
	const bool asleep = loop->asleep;

	mutex_drop(&loop->lock);
	return asleep;
}

static void wake_up(struct loop *loop)
{
	mutex_take(&loop->lock);
	loop->asleep = false;
	mutex_drop(&loop->lock);
}

int loop_run(struct loop *loop)
{
	while (!atomic_exchange(&loop->stop, false)) {
		run_pollers(loop);

		const bool sleeps = fall_asleep(loop);
		int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_ROUND, sleeps ? -1 : 0);

		if (count < 0 && errno != EINTR)
			return -errno;
		loop->count = count > 0 ? count : 0;
		if (sleeps)
			wake_up(loop);
		else if (!loop->count)
			sched_yield(); /* to a back end or a kernel thread that does the guest's work on this processor
					*/
		run_watches(loop);
		run_work(loop);
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	/* Partner: the exchange in loop_run(), which looks again after each wake-up. */
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}
