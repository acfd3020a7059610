/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's end of a TCP load. */
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load-tcp.h"

static int peer = -1;

static int net_open(const char *target)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	char host[INET_ADDRSTRLEN] = "";
	const char *colon = strchr(target, ':');

	if (colon && (size_t)(colon - target) < sizeof(host))
		memcpy(host, target, (size_t)(colon - target));
	if (!colon || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		fprintf(stderr, "load: %s is not ADDRESS:PORT\n", target);
		return -1;
	}
	address.sin_port = htons((uint16_t)atoi(colon + 1));
	peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer < 0 || connect(peer, (struct sockaddr *)&address, sizeof(address)))
		return load_failed(target);
	/* What is under way at the end is dropped, so that it is not counted, and disturbs no other guest. */
	if (setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)))
		return load_failed("SO_LINGER");
	return tcp_no_delay(peer);
}

static int begin(enum load_kind kind, unsigned milliseconds)
{
	const struct load_order order = {.kind = kind, .milliseconds = milliseconds};

	return tcp_write(peer, &order, sizeof(order));
}

static int send_warm(unsigned milliseconds, struct load_result *result)
{
	const double start = load_now();
	char answer;

	if (begin(LOAD_SEND, milliseconds) || tcp_stream_out(peer, milliseconds, &result->count) ||
	    tcp_read(peer, &answer, sizeof(answer)))
		return -1;
	result->seconds = load_now() - start;
	return 0;
}

/* What the peer has acknowledged counts. */
static int send_measure(unsigned milliseconds, struct load_result *result)
{
	static char block[TCP_BLOCK] = {1};
	const double start = load_now(), end = start + milliseconds / 1e3;
	uint64_t written = 0;
	int pending = 0;

	if (begin(LOAD_SEND, milliseconds))
		return -1;
	do {
		if (tcp_write(peer, block, sizeof(block)))
			return -1;
		written += sizeof(block);
	} while (load_now() < end);
	if (ioctl(peer, SIOCOUTQ, &pending))
		return load_failed("SIOCOUTQ");
	close(peer);
	result->count = written - ((uint64_t)pending < written ? (uint64_t)pending : written);
	result->seconds = load_now() - start;
	return 0;
}

static int receive_warm(unsigned milliseconds, struct load_result *result)
{
	const double start = load_now();

	if (begin(LOAD_RECEIVE, milliseconds) || tcp_stream_in(peer, HUGE_VAL, &result->count))
		return -1;
	result->seconds = load_now() - start;
	return 0;
}

/* The peer goes on until the connection is closed. */
static int receive_measure(unsigned milliseconds, struct load_result *result)
{
	const double start = load_now();

	if (begin(LOAD_RECEIVE, UINT32_MAX) || tcp_stream_in(peer, start + milliseconds / 1e3, &result->count))
		return -1;
	close(peer);
	result->seconds = load_now() - start;
	return 0;
}

static int round_trips_run(unsigned milliseconds, struct load_result *result)
{
	const double start = load_now(), end = start + milliseconds / 1e3;
	char byte;

	if (begin(LOAD_ROUND_TRIPS, milliseconds))
		return -1;
	result->count = 0;
	do {
		byte = load_now() < end;
		if (tcp_write(peer, &byte, sizeof(byte)) || tcp_read(peer, &byte, sizeof(byte)))
			return -1;
		result->count++;
	} while (byte);
	result->seconds = load_now() - start;
	return 0;
}

const struct load_ops load_send = {net_open, send_warm, send_measure};
const struct load_ops load_receive = {net_open, receive_warm, receive_measure};
const struct load_ops load_round_trips = {net_open, round_trips_run, round_trips_run};
