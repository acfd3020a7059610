/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One client: lines in, one reply each out. A client is read only while no reply waits for it, so that one that does
 * not read holds one reply and one buffer, and nobody else up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/internal.h"

enum { LINES_PER_TURN = 8 };

struct control_client {
	struct control *control;
	struct control_client *next;
	struct loop_watch watch;
	struct loop_work more; /* lines are left, but others had to have their turn */
	uint32_t events;       /* what watch waits for now */
	bool ended;            /* it sends no more */
	bool leaving;          /* to be closed when the reply is out */
	bool dead;             /* cannot be written to or read from */
	char *out;             /* the reply under way, or NULL */
	size_t out_len, out_done;
	size_t in_start, in_end;
	char in[CONTROL_LINE_MAX + 1]; /* a line and its newline */
};

static void client_flush(struct control_client *client)
{
	while (client->out && !client->dead) {
		const ssize_t sent = send(client->watch.fd, client->out + client->out_done,
					  client->out_len - client->out_done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return;
		client->dead = sent < 0;
		client->out_done += sent > 0 ? (size_t)sent : 0;
		if (client->out_done == client->out_len) {
			free(client->out);
			client->out = NULL;
		}
	}
}

static void client_reply(struct control_client *client, char *text)
{
	if (!text) {
		client->dead = true; /* no memory */
		return;
	}
	client->out = text;
	client->out_len = strlen(text);
	client->out_done = 0;
	client_flush(client);
}

static void client_receive(struct control_client *client)
{
	ssize_t got;

	if (client->in_start) {
		memmove(client->in, client->in + client->in_start, client->in_end - client->in_start);
		client->in_end -= client->in_start;
		client->in_start = 0;
	}
	if (client->in_end == sizeof(client->in))
		return;
	do
		got = recv(client->watch.fd, client->in + client->in_end, sizeof(client->in) - client->in_end,
			   MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		client->dead = errno != EAGAIN;
	else if (!got)
		client->ended = true;
	else
		client->in_end += (size_t)got;
}

/* The length of the line at in_start without its newline, or -1. The last line of all needs none. */
static ssize_t line_length(const struct control_client *client)
{
	const char *start = client->in + client->in_start;
	const size_t len = client->in_end - client->in_start;
	const char *newline = memchr(start, '\n', len);

	if (newline)
		return newline - start;
	return client->ended && len ? (ssize_t)len : -1;
}

static void take_line(struct control_client *client, size_t len)
{
	char *line = client->in + client->in_start;
	size_t blank = 0;

	client->in_start += len + 1;
	if (client->in_start > client->in_end)
		client->in_start = client->in_end;
	while (blank < len && (line[blank] == ' ' || line[blank] == '\t' || line[blank] == '\r'))
		blank++;
	if (blank < len)
		client_reply(client, control_answer(client->control, line, len));
}

static void take_lines(struct control_client *client)
{
	ssize_t len = -1;

	for (unsigned i = 0; i < LINES_PER_TURN && !client->out && !client->dead && !client->leaving; i++) {
		len = line_length(client);
		if (len < 0)
			break;
		take_line(client, (size_t)len);
	}
	if (len >= 0 || client->out || client->leaving)
		return;
	if (client->in_end - client->in_start > CONTROL_LINE_MAX) {
		client->leaving = true;
		client_reply(client, control_error("the line is longer than 64 KiB"));
	}
}

static void wait_for_more(struct control_client *client)
{
	struct loop *loop = client->control->machine.loop;
	const bool lines = !client->out && line_length(client) >= 0;
	const uint32_t events = client->out ? EPOLLOUT : lines ? 0 : EPOLLIN;

	if (lines)
		loop_post(loop, &client->more);
	if (events == client->events)
		return;
	client->events = events;
	loop_modify(loop, &client->watch, events);
}

static void client_serve(struct control_client *client)
{
	client_flush(client);
	if (!client->dead && !client->out)
		take_lines(client);

	const bool done = client->leaving || (client->ended && client->in_start == client->in_end);

	if (client->dead || (!client->out && done))
		control_client_remove(client);
	else
		wait_for_more(client);
}

static void client_ready(void *opaque, uint32_t events)
{
	struct control_client *client = opaque;

	(void)events;
	client_flush(client);
	if (!client->dead && !client->out && !client->ended)
		client_receive(client);
	client_serve(client);
}

static void client_more(void *opaque)
{
	client_serve(opaque);
}

void control_client_add(struct control *control, int fd)
{
	struct control_client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return;
	}
	client->control = control;
	client->watch = (struct loop_watch){fd, client_ready, client};
	client->more = (struct loop_work){.run = client_more, .opaque = client};
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
	control_client_attach(client);
}

void control_client_attach(struct control_client *client)
{
	struct loop *loop = client->control->machine.loop;

	client->events = client->out ? EPOLLOUT : EPOLLIN;
	if (loop_add(loop, &client->watch, client->events))
		control_client_remove(client);
	else if (line_length(client) >= 0)
		loop_post(loop, &client->more);
}

void control_client_detach(struct control_client *client)
{
	struct loop *loop = client->control->machine.loop;

	loop_cancel(loop, &client->more);
	loop_remove(loop, &client->watch);
}

void control_client_remove(struct control_client *client)
{
	struct control *control = client->control;
	struct control_client **at = &control->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	control->client_count--;
	if (control->machine.loop)
		control_client_detach(client);
	client_flush(client);
	close(client->watch.fd);
	free(client->out);
	free(client);
}

struct control_client *control_client_next(const struct control_client *client)
{
	return client->next;
}
