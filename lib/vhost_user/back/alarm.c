/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/alarm.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/util/clock.h"

int vbe_alarm_init(struct vbe_alarm *alarm)
{
	int err = lock_init(&alarm->lock);

	if (err)
		return err;
	alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (alarm->fd >= 0)
		return 0;
	err = -errno;
	lock_fini(&alarm->lock);
	return err;
}

void vbe_alarm_fini(struct vbe_alarm *alarm)
{
	close(alarm->fd);
	lock_fini(&alarm->lock);
}

void vbe_alarm_set(struct vbe_alarm *alarm, uint64_t ns)
{
	const struct itimerspec when = {.it_value = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)}};

	lock_take(&alarm->lock);
	if (!alarm->at_ns || alarm->at_ns > ns) {
		alarm->at_ns = ns;
		timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &when, NULL);
	}
	lock_drop(&alarm->lock);
}

void vbe_alarm_clear(struct vbe_alarm *alarm)
{
	uint64_t count;

	lock_take(&alarm->lock);
	if (read(alarm->fd, &count, sizeof(count)) == sizeof(count))
		alarm->at_ns = 0;
	lock_drop(&alarm->lock);
}
