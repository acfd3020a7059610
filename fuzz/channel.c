/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The message channel of vhost-user: one end sends messages with descriptors through a socket that takes little, and
 * between them its owner writes any bytes into it; the other end reads when the input says so. Messages come whole, in
 * order and with their descriptors, as long as nothing else was written; no descriptor stays open. Events are signalled
 * to descriptors of all kinds, which never makes the caller wait.
 */
#include <errno.h>
#include <sys/socket.h>

#include <viommu/event.h>

#include "fuzz/fds.h"
#include "fuzz/fuzz.h"
#include "lib/vhost_user/wire/channel.h"

enum { STEPS = 400, ROOM = 4096, QUEUE = 4096 };

/* What was sent, and has not come. */
struct sent {
	uint32_t request, size;
	unsigned fds;
};

struct world {
	struct channel from, to;
	int raw; /* the socket of `from` */
	bool honest, over;
	struct sent sent[QUEUE];
	unsigned first, last;
};

static void send_message(struct world *w, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	struct channel_message message = {.header = {tape_u8(tape), kind & 8 ? VHU_NEED_REPLY : 0, tape_u8(tape) * 4u},
					  .fd_count = kind >= 192 ? kind % (CHANNEL_FDS + 1) : 0};

	for (unsigned i = 0; i < message.fd_count; i++)
		message.fds[i] = fds_of_kind(tape_u8(tape));
	for (uint32_t i = 0; i < message.header.size; i++)
		message.payload[i] = (uint8_t)(message.header.request + i);
	for (unsigned count = kind & 4 ? 16 : 1; count && w->last - w->first < QUEUE; count--) {
		const int err = channel_send(&w->from, &message);

		CHECK(!err || err == -ENOBUFS || err == -EPIPE || (w->over && err), "error %d", err);
		w->over |= err != 0 && err != -ENOBUFS;
		if (err)
			return;
		w->sent[w->last++ % QUEUE] =
			(struct sent){message.header.request, message.header.size, message.fd_count};
	}
}

static void flush(struct world *w)
{
	const int err = channel_flush(&w->from);

	CHECK(err == -EAGAIN || !err == !channel_unsent(&w->from) || w->over, "error %d", err);
	w->over |= err && err != -EAGAIN;
}

static bool receive(struct world *w)
{
	struct channel_message message;
	const int err = channel_receive(&w->to, &message);

	if (err) {
		CHECK(err == -EAGAIN || err == -EPIPE || (err == -EPROTO && !w->honest), "error %d", err);
		w->over |= err != -EAGAIN;
		return false;
	}
	CHECK(message.header.size <= CHANNEL_PAYLOAD && message.fd_count <= CHANNEL_FDS, "%u bytes",
	      message.header.size);
	if (w->honest) {
		const struct sent *sent = &w->sent[w->first++ % QUEUE];

		CHECK(w->first <= w->last && message.header.request == sent->request &&
			      message.header.size == sent->size && message.fd_count == sent->fds,
		      "request %u of %u bytes with %u descriptors", message.header.request, message.header.size,
		      message.fd_count);
		for (uint32_t i = 0; i < message.header.size; i++)
			CHECK(message.payload[i] == (uint8_t)(message.header.request + i), "byte %u", i);
	}
	channel_close_fds(&message);
	return true;
}

/* A header that is nearly right, or any bytes, with or without descriptors. */
static void write_raw(struct world *w, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	struct vhu_header header = {tape_u8(tape), VHU_VERSION | (kind & 2 ? tape_u8(tape) : 0), tape_u16(tape)};
	uint8_t bytes[64];
	const size_t len = kind & 1 ? sizeof(header) : tape_below(tape, sizeof(bytes));
	struct iovec iov = {kind & 1 ? (void *)&header : bytes, len};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	const unsigned count = kind & 4 ? 1 + (kind >> 4) : 0;

	tape_copy(tape, bytes, len);
	if (count && len) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);

		*c = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){fds_of_kind(tape_u8(tape))}, sizeof(int));
	}
	w->honest = false;
	if (sendmsg(w->raw, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void signal_some(struct tape *tape)
{
	const unsigned kind = tape_u8(tape) & 3;
	const int fd = kind == 3 ? -1 : fds_of_kind(kind * 5); /* an event, /dev/null, a pipe's end */
	const int err = viommu_event_signal(fd);

	CHECK(kind ? err : !err, "kind %u: %d", kind, err);
	if (kind)
		return;
	CHECK(!viommu_event_take(fd), "not signalled");
	CHECK(viommu_event_take(fd) == -EAGAIN, "signalled twice");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct world w = {.honest = true};
	const int room = ROOM;
	int pair[2];

	fds_of_kind(0);
	CHECK(!viommu_event_setup(), "no events");
	const unsigned open = fds_open();

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "no sockets");
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	w.raw = pair[0];
	CHECK(!channel_init(&w.from, pair[0], NULL) && !channel_init(&w.to, pair[1], NULL), "no channel");
	for (unsigned i = 0; tape.left && !w.over && i < STEPS; i++) {
		const uint8_t choice = tape_u8(&tape);

		if (choice < 130)
			send_message(&w, &tape);
		else if (choice < 180)
			receive(&w);
		else if (choice < 230)
			flush(&w);
		else if (choice < 245)
			signal_some(&tape);
		else if (choice < 254)
			write_raw(&w, &tape);
		else
			shutdown(w.raw, SHUT_WR);
	}
	/* All that was sent comes in the end. */
	while (w.honest && !w.over && w.first != w.last) {
		flush(&w);
		while (receive(&w))
			;
	}
	channel_fini(&w.from);
	channel_fini(&w.to);
	fds_wait(open);
	return 0;
}
