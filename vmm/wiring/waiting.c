/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/waiting.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/util/log.h"
#include "vmm/util/loop.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

struct waiting {
	struct waiting_config config;
	int timer_fd;
	struct loop_watch timer;
	bool told;
};

/* Once for each guest, but a guest may restart as often as it likes. */
static void tell(struct waiting *waiting)
{
	static struct log_limit limit;
	const struct waiting_config *config = &waiting->config;

	if (waiting->told || config->taken(config->opaque))
		return;
	waiting->told = true;
	if (vmm_log_may(&limit))
		vmm_log("%u %s", config->devices, config->devices == 1 ? config->one : config->several);
}

static void timer_cb(void *opaque, uint32_t events)
{
	struct waiting *waiting = opaque;
	uint64_t count;

	(void)events;
	if (read(waiting->timer_fd, &count, sizeof(count)) == sizeof(count))
		tell(waiting);
}

int waiting_create(const struct waiting_config *config, struct waiting **out)
{
	const struct itimerspec at = {
		.it_value = {config->after_ms / MS_PER_S, config->after_ms % MS_PER_S * NS_PER_MS}};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	int err;

	if (!waiting)
		return -ENOMEM;
	waiting->config = *config;
	waiting->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (waiting->timer_fd < 0) {
		err = -errno;
		goto err_free;
	}
	waiting->timer = (struct loop_watch){.fd = waiting->timer_fd, .ready = timer_cb, .opaque = waiting};
	err = timerfd_settime(waiting->timer_fd, 0, &at, NULL) ? -errno
							       : loop_add(config->loop, &waiting->timer, EPOLLIN);
	if (err)
		goto err_close;
	*out = waiting;
	return 0;

err_close:
	close(waiting->timer_fd);
err_free:
	free(waiting);
	return err;
}

void waiting_end(struct waiting *waiting)
{
	tell(waiting);
}

void waiting_destroy(struct waiting *waiting)
{
	if (!waiting)
		return;
	loop_remove(waiting->config.loop, &waiting->timer);
	close(waiting->timer_fd);
	free(waiting);
}
