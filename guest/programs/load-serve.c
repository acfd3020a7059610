/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's end of TCP loads: a process for each connection. */
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load-tcp.h"

static int echo(int fd)
{
	char byte;

	do {
		if (tcp_read(fd, &byte, sizeof(byte)) || tcp_write(fd, &byte, sizeof(byte)))
			return -1;
	} while (byte);
	return 0;
}

static int obey(int fd, const struct load_order *order)
{
	uint64_t bytes;

	switch (order->kind) {
	case LOAD_SEND:
		return tcp_stream_in(fd, HUGE_VAL, &bytes) ? -1 : tcp_write(fd, "", 1);
	case LOAD_RECEIVE:
		return tcp_stream_out(fd, order->milliseconds, &bytes);
	case LOAD_ROUND_TRIPS:
		return echo(fd);
	default:
		return -1;
	}
}

/* Until the guest's end closes the connection. */
static void serve_connection(int fd)
{
	struct load_order order;

	if (tcp_no_delay(fd))
		return;
	while (recv(fd, &order, sizeof(order), MSG_WAITALL) == (ssize_t)sizeof(order))
		if (obey(fd, &order))
			return;
}

int load_serve(const char *port)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (const struct sockaddr *)&any, sizeof(any)) || listen(listener, 64))
		return load_failed("listen");
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		const int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && fork() == 0) {
			close(listener);
			serve_connection(fd);
			_exit(0);
		}
		if (fd >= 0)
			close(fd);
	}
}
