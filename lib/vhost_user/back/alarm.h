/* SPDX-License-Identifier: BSD-2-Clause */
/* When a connection is to be served though nothing has come: a timer that all of its parts share. */
#ifndef LIB_VHOST_USER_BACK_ALARM_H
#define LIB_VHOST_USER_BACK_ALARM_H

#include <stdint.h>

#include "lib/util/lock.h"

struct vbe_alarm {
	int fd; /* readable when it has rung */
	struct lock lock;
	uint64_t at_ns GUARDED_BY(lock); /* when it rings; 0: never */
};

/* -errno. */
int vbe_alarm_init(struct vbe_alarm *alarm);
void vbe_alarm_fini(struct vbe_alarm *alarm);
/* Ring at this time (clock_ns()) at the latest. Any thread, with any lock held. */
void vbe_alarm_set(struct vbe_alarm *alarm, uint64_t ns);
/* It is being served: parts that want it to ring again set it again. */
void vbe_alarm_clear(struct vbe_alarm *alarm);

#endif
