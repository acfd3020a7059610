/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/config/config.h"
#include "vmm/control/internal.h"
#include "vmm/util/log.h"

static int spare_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is left for this client, which need not wait for one: take it, and hang up. */
static bool turn_away(void *opaque)
{
	struct control *control = opaque;

	if (control->spare_fd >= 0) {
		close(control->spare_fd);

		const int fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			close(fd);
		control->spare_fd = spare_open();
		return fd >= 0;
	}
	control->spare_fd = spare_open();
	return false;
}

static void control_refuse(int fd)
{
	static const char reply[] = "{\"error\": \"too many clients\"}\n";

	if (send(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		/* It will see that we hang up. */
	}
	close(fd);
}

static void control_accepted(void *opaque, int fd)
{
	struct control *control = opaque;

	if (control->client_count == CONTROL_CLIENTS_MAX)
		control_refuse(fd);
	else
		control_client_add(control, fd);
}

static const struct listener_ops listener_ops = {.accepted = control_accepted, .crowded = turn_away};

int control_create(const struct run_config *config, struct control **out)
{
	struct control *control = calloc(1, sizeof(*control));
	struct timespec now;
	int error = control ? control_socket_open(&control->socket, config->control) : -ENOMEM;

	if (error) {
		free(control);
		return error;
	}
	control->config = config;
	clock_gettime(CLOCK_MONOTONIC, &now);
	control->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	error = listener_init(&control->listener, control->socket.fd, "--control", &listener_ops, control);
	if (error) {
		vmm_log("--control: %s", strerror(-error));
		control_socket_close(&control->socket);
		free(control);
		return error;
	}
	control->spare_fd = spare_open();
	fault_history_init(&control->faults);
	*out = control;
	return 0;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	while (control->clients)
		control_client_remove(control->clients);
	listener_fini(&control->listener);
	control_socket_close(&control->socket);
	if (control->spare_fd >= 0)
		close(control->spare_fd);
	fault_history_fini(&control->faults);
	free(control);
}

int control_attach(struct control *control, const struct control_machine *machine)
{
	if (!control)
		return 0;

	const int error = listener_start(&control->listener, machine->loop);

	if (error) {
		vmm_log("--control: %s", strerror(-error));
		return error;
	}
	control->machine = *machine;
	control->boots++;
	for (struct control_client *client = control->clients, *next; client; client = next) {
		next = control_client_next(client);
		control_client_attach(client);
	}
	return 0;
}

void control_detach(struct control *control)
{
	if (!control || !control->machine.loop)
		return;
	for (struct control_client *client = control->clients; client; client = control_client_next(client))
		control_client_detach(client);
	listener_stop(&control->listener);
	control->machine = (struct control_machine){0};
}

bool control_stopped(const struct control *control)
{
	return control && control->stopped;
}

struct fault_history *control_faults(struct control *control)
{
	return control ? &control->faults : NULL;
}
