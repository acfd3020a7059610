/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end that means harm, for tests/guest/payloads: hostile-backend SOCKET secrets PATTERN | ways | isolated-ways.
 * secrets: serves a guest until the front end has gone, looks for the pattern in all that it was ever given, and prints
 *          "descriptors N, bytes N, found N".
 * ways:    goes wrong in each way that there is (ways.h), a connection each, and prints its name; then it serves, and
 *          prints "all done".
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/hostile/ways.h"

enum { SEED = 1 };

/* Feature bits, and all that the protocol can do but what nobody here speaks. */
#define FEATURES (1ull << 30 | 1ull << 32)
#define PLATFORM (1ull << 33)
#define PROTOCOL                                                                                                       \
	(1ull << VHU_PROTOCOL_F_MQ | 1ull << VHU_PROTOCOL_F_REPLY_ACK | 1ull << VHU_PROTOCOL_F_BACKEND_REQ |           \
	 1ull << VHU_PROTOCOL_F_INFLIGHT_SHMFD | 1ull << VHU_PROTOCOL_F_SHARED_TABLE)

static struct peer peer;
static const struct way *way; /* NULL: as it should be */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool hook(struct back *back, struct channel_message *message)
{
	const bool wrong = way && way->answer && peer_running(&peer);

	(void)back;
	peer_note(&peer, message);
	return wrong && way->answer(&peer, message);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1)) {
		fprintf(stderr, "hostile-backend: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

static bool hung_up(void)
{
	struct pollfd poll_fd = {.fd = peer.back.channel.fd, .events = POLLIN};
	char byte;

	return poll(&poll_fd, 1, 1) == 1 && recv(poll_fd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* One connection, until the front end has gone or the way has had its time. */
static void serve(int listener, uint64_t features)
{
	uint64_t end = 0;

	peer_init(&peer, accept(listener, NULL, NULL), features, PROTOCOL);
	peer.back.hook = hook;
	while (!hung_up() && (!end || now_ms() < end)) {
		back_serve(&peer.back);
		if (!peer_running(&peer))
			continue;
		if (way && !end)
			end = now_ms() + way->ms;
		if (way && way->act)
			way->act(&peer);
		else if (!way)
			peer_serve_rings(&peer);
	}
	peer_fini(&peer);
}

static void secrets(int listener, const char *pattern)
{
	uint64_t bytes;

	serve(listener, FEATURES);
	unsigned found = peer_search(&peer, pattern, &bytes);

	printf("descriptors %u, bytes %llu, found %u\n", peer.kept_count, (unsigned long long)bytes, found);
}

static void forget_kept(void)
{
	while (peer.kept_count)
		close(peer.kept[--peer.kept_count]);
}

static void all_ways(int listener, bool isolated)
{
	srandom(SEED);
	for (unsigned i = 0; i < way_count; i++) {
		if (ways[i].isolated && !isolated)
			continue;
		way = &ways[i];
		serve(listener, FEATURES | PLATFORM);
		forget_kept();
		puts(way->name);
	}
	way = NULL;
	puts("all done");
	serve(listener, FEATURES | PLATFORM);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fputs("usage: hostile-backend SOCKET secrets PATTERN | ways | isolated-ways\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	int listener = listen_at(argv[1]);

	if (!strcmp(argv[2], "secrets") && argc == 4)
		secrets(listener, argv[3]);
	else
		all_ways(listener, !strcmp(argv[2], "isolated-ways"));
	close(listener);
	return 0;
}
