/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/host/hostile/ways.h"
#include "tests/support/lingering.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLOOD = 64, GARBAGE = 4096, PAGE = 4096, LINGER_S = 2 };

static const uint64_t counter_full = UINT64_MAX - 1;

static uint64_t draw(void)
{
	return (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();
}

static void miss(struct peer *peer, uint64_t iova)
{
	if (peer->back.requests_open)
		back_iotlb(&peer->back, VHU_IOTLB_MISS, iova, VHU_ACCESS_RO, 0);
}

/* Where the guest is: so there is something to be acknowledged. */
static void miss_inside(struct peer *peer)
{
	miss(peer, 0x100000 + draw() % 0x400 * PAGE);
}

static bool never(struct peer *peer, struct channel_message *message)
{
	(void)peer;
	(void)message;
	return true;
}

static bool wrong_size(struct peer *peer, struct channel_message *message)
{
	if (message->header.flags & VHU_NEED_REPLY)
		back_reply(&peer->back, message, "\0\0\0", 4);
	return message->header.flags & VHU_NEED_REPLY;
}

static bool with_descriptors(struct peer *peer, struct channel_message *message)
{
	struct channel_message reply = {
		.header = {message->header.request, VHU_REPLY, sizeof(reply.u64)}, .fd_count = 2, .fds = {0, 1}};

	if (message->header.flags & VHU_NEED_REPLY)
		channel_send(&peer->back.channel, &reply);
	return message->header.flags & VHU_NEED_REPLY;
}

/* Nobody else can be made to wait until it is closed. */
static bool with_lingering_sockets(struct peer *peer, struct channel_message *message)
{
	struct channel_message reply = {.header = {message->header.request, VHU_REPLY, sizeof(reply.u64)}};
	int other;

	if (!(message->header.flags & VHU_NEED_REPLY))
		return false;
	for (; reply.fd_count < 4; reply.fd_count++)
		reply.fds[reply.fd_count] = lingering(LINGER_S, &other);
	channel_send(&peer->back.channel, &reply);
	channel_close_fds(&reply);
	return true;
}

static bool refuse(struct peer *peer, struct channel_message *message)
{
	if (message->header.flags & VHU_NEED_REPLY)
		back_reply_u64(&peer->back, message, draw() | 1);
	return message->header.flags & VHU_NEED_REPLY;
}

static void answer_nothing(struct peer *peer)
{
	struct channel_message message = {.header = {.request = VHU_GET_FEATURES}};

	back_reply_u64(&peer->back, &message, draw());
}

static void flood(struct peer *peer)
{
	for (unsigned i = 0; i < FLOOD; i++)
		miss(peer, draw());
}

static void wrong_translations(struct peer *peer)
{
	if (peer->back.requests_open)
		back_iotlb(&peer->back, (unsigned)draw() % 8, draw(), (unsigned)draw() % 8,
			   (uint32_t)draw() & VHU_NEED_REPLY);
}

static void unknown_requests(struct peer *peer)
{
	uint64_t payload[4] = {draw(), draw(), draw(), draw()};

	if (peer->back.requests_open)
		back_request(&peer->back, 2 + (uint32_t)draw() % 200, VHU_NEED_REPLY, payload,
			     (uint32_t)draw() % sizeof(payload));
}

static void write_garbage(int fd)
{
	uint8_t bytes[GARBAGE];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random();
	send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void garbage(struct peer *peer)
{
	write_garbage(peer->back.channel.fd);
}

static void garbage_request(struct peer *peer)
{
	if (peer->back.requests_open)
		write_garbage(peer->back.requests.fd);
}

/* A header that says that more follows. */
static void half_message(struct peer *peer)
{
	static const struct vhu_header header = {VHU_GET_FEATURES, VHU_VERSION | VHU_REPLY, 8};

	send(peer->back.channel.fd, &header, sizeof(header), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void signal_all(struct peer *peer, size_t which)
{
	const uint64_t one = 1;

	for (unsigned i = 0; i < VHU_TEST_RINGS; i++) {
		int fd = *(const int *)(const void *)((const char *)&peer->rings[i] + which);

		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
			return;
	}
}

static void report_errors(struct peer *peer)
{
	signal_all(peer, offsetof(struct peer_ring, err));
}

static void interrupt(struct peer *peer)
{
	for (unsigned i = 0; i < FLOOD; i++)
		signal_all(peer, offsetof(struct peer_ring, call));
}

/*
 * Every flag that a descriptor shares with the one that was kept, and a counter at its end: who reads or writes now
 * waits.
 */
static void block(struct peer *peer)
{
	uint64_t count;

	for (unsigned i = 0; i < peer->kept_count; i++) {
		struct stat stat;

		if (fstat(peer->kept[i], &stat) || stat.st_mode & S_IFMT)
			continue;
		fcntl(peer->kept[i], F_SETFL, O_NONBLOCK);
		if (random() % 2 && read(peer->kept[i], &count, sizeof(count)) < 0)
			count = 0;
		if (random() % 2 && write(peer->kept[i], &counter_full, sizeof(counter_full)) < 0)
			count = 0;
		fcntl(peer->kept[i], F_SETFL, 0);
	}
}

/* Files must not be cut under who has them mapped. */
static void cut(struct peer *peer)
{
	for (unsigned i = 0; i < peer->kept_count; i++) {
		struct stat stat;

		if (fstat(peer->kept[i], &stat) || !S_ISREG(stat.st_mode))
			continue;
		if (!ftruncate(peer->kept[i], 0) && stat.st_size)
			exit(3);
	}
}

static void write_epochs(struct peer *peer)
{
	uint64_t words[8];

	for (unsigned i = 0; i < 8; i++)
		words[i] = draw();
	if (peer->epochs >= 0 && pwrite(peer->epochs, words, sizeof(words), (off_t)(draw() % 64 * 64)) < 0)
		peer->epochs = -1;
}

/* Rings, tables and data: all that it can write. */
static void scribble(struct peer *peer)
{
	for (unsigned i = 0; i < peer->back.memory.count; i++)
		for (unsigned k = 0; k < FLOOD * FLOOD && peer->regions[i]; k++)
			peer->regions[i][draw() % peer->back.memory.regions[i].size] = (uint8_t)random();
	interrupt(peer);
}

/* Ring indexes only, so that what is there is looked at. */
static void wrong_indexes(struct peer *peer)
{
	peer_serve_rings(peer);
	for (unsigned i = 0; i < peer->back.memory.count; i++)
		for (uint64_t at = 2; peer->regions[i] && at < peer->back.memory.regions[i].size && at < 64 * PAGE;
		     at += PAGE / 8)
			peer->regions[i][at] = (uint8_t)(peer->regions[i][at] + random() % 3);
	interrupt(peer);
}

const struct way ways[] = {
	{.name = "closes", .ms = 100},
	{.name = "says nothing more", .answer = never, .act = miss_inside, .ms = 1500},
	{.name = "answers of a wrong size", .answer = wrong_size, .act = miss_inside, .ms = 300},
	{.name = "answers with descriptors", .answer = with_descriptors, .act = miss_inside, .ms = 300},
	{.name = "answers with sockets that linger", .answer = with_lingering_sockets, .act = miss_inside, .ms = 300},
	{.name = "answers to nothing", .act = answer_nothing, .ms = 300},
	{.name = "refuses everything", .answer = refuse, .act = miss_inside, .ms = 300},
	{.name = "misses without end", .act = flood, .ms = 1000},
	{.name = "misses that make no sense", .act = wrong_translations, .ms = 300},
	{.name = "unknown requests", .act = unknown_requests, .ms = 500},
	{.name = "garbage", .act = garbage, .ms = 300},
	{.name = "garbage over its own channel", .act = garbage_request, .ms = 300},
	{.name = "half a message", .answer = never, .act = half_message, .ms = 300},
	{.name = "rings that it calls broken", .act = report_errors, .ms = 300},
	{.name = "interrupts without end", .act = interrupt, .ms = 1000},
	{.name = "descriptors made blocking", .act = block, .ms = 2000},
	{.name = "files cut short", .act = cut, .ms = 300},
	{.name = "nonsense in the shared table's epochs", .act = write_epochs, .ms = 500},
	{.name = "writes over its memory", .act = scribble, .ms = 1000, .isolated = true},
	{.name = "wrong indexes", .act = wrong_indexes, .ms = 1000, .isolated = true},
};

const unsigned way_count = sizeof(ways) / sizeof(ways[0]);
