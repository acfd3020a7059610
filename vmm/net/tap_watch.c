/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/tap_watch.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { NEWS_PER_ROUND = 64 };

static int open_news(void)
{
	const struct sockaddr_nl links = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || !bind(fd, (const struct sockaddr *)&links, sizeof(links)))
		return fd;
	close(fd);
	return -1;
}

static void news_ready(void *opaque, uint32_t events)
{
	struct ifreq request = {.ifr_flags = 0};
	struct tap_watch *tap = opaque;
	char byte;

	(void)events;
	for (unsigned i = 0; i < NEWS_PER_ROUND; i++)
		if (recv(tap->watch.fd, &byte, 1, MSG_DONTWAIT) < 0 && errno != ENOBUFS)
			break;
	/* The news are of all interfaces, and may be lost where there are many: the tap itself is asked. */
	if (!ioctl(tap->tap_fd, TUNGETIFF, &request) || errno != EBADFD)
		return;
	tap_watch_fini(tap);
	tap_log_lost(tap->name, EBADFD);
	if (tap->lost)
		tap->lost(tap->opaque, EBADFD);
}

void tap_watch_init(struct tap_watch *tap)
{
	tap->watch = (struct loop_watch){.fd = open_news(), .ready = news_ready, .opaque = tap};
	if (tap->watch.fd < 0 || !loop_add(tap->loop, &tap->watch, EPOLLIN))
		return;
	close(tap->watch.fd);
	tap->watch.fd = -1;
}

void tap_watch_fini(struct tap_watch *tap)
{
	if (tap->watch.fd < 0)
		return;
	loop_remove(tap->loop, &tap->watch);
	close(tap->watch.fd);
	tap->watch.fd = -1;
}

void tap_log_lost(const char *name, int error)
{
	static struct log_limit limit;

	if (vmm_log_may(&limit))
		vmm_log("net %s: the tap interface is lost: %s", name,
			error == EBADFD ? "it has been deleted" : strerror(error));
}
