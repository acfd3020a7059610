/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/eventfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * Descriptors of another kind may wait whatever they are asked (files, CUSE, epoll), or kill those that write (pipes).
 * To read the name asks nobody.
 */
static bool is_eventfd(int fd)
{
	static const char eventfd_name[] = "anon_inode:[eventfd]";
	char link[32], name[sizeof(eventfd_name)];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, name, sizeof(name)) == sizeof(eventfd_name) - 1 &&
	       !memcmp(name, eventfd_name, sizeof(eventfd_name) - 1);
}

int vbe_eventfd_accept(int fd)
{
	int flags = is_eventfd(fd) ? fcntl(fd, F_GETFL) : -1;

	if (flags < 0)
		return -EINVAL;
	/* Nobody waits for a peer that does not read its eventfds. */
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}
