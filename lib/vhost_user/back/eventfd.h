/* SPDX-License-Identifier: BSD-2-Clause */
/* Eventfds that the front end has sent: which descriptors are accepted as such. */
#ifndef LIB_VHOST_USER_BACK_EVENTFD_H
#define LIB_VHOST_USER_BACK_EVENTFD_H

/*
 * A descriptor for notifications, from the front end. -EINVAL: it cannot be one; else it does not block, unless the
 * front end changes that; -errno of fcntl().
 */
int vbe_eventfd_accept(int fd);

#endif
