/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu ctl SOCK COMMAND`: the other end of the control socket. */
#include "vmm/ctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control/show.h"
#include "vmm/util/log.h"
#include "vmm/util/options.h"

enum { STATUS_OK = 0, STATUS_UNUSABLE = 2, STATUS_FAILED = 4 };
enum { ANSWER_MAX = 1 << 20, ANSWER_SECONDS = 30 };

struct ctl_command {
	const char *name;
	void (*show)(const json_t *answer);
	void (*show_json)(const json_t *answer);
	bool ends; /* the monitor hangs up when it has ended: wait for that */
	const char *summary;
};

static const struct ctl_command commands[] = {
	{"info", show_members, show_json, false, "what runs: version, processors, memory, devices"},
	{"stats", show_members, show_json, false, "counters since the guest last started"},
	{"faults", show_faults, show_json_faults, false, "the last 64 blocked DMAs"},
	{"stop", show_nothing, show_json, true, "end the monitor as if the guest had powered off"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

struct ctl_request {
	const char *path;
	const struct ctl_command *command;
	bool json, help;
};

static void help(void)
{
	puts("usage: viommu ctl SOCK COMMAND [--json]\n\n"
	     "Ask a monitor that was started with `viommu run --control SOCK`, or stop it.\n\ncommands:");
	for (unsigned i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\n  --json   the answer in JSON, one object a line\n  --help   this text\n\n"
	     "Exit status: 0; 2 arguments or socket cannot be used; 4 the monitor does not answer, or answers an "
	     "error.");
}

static int find_command(const char *name, const struct ctl_command **out)
{
	char names[128] = "";
	size_t used = 0;

	for (unsigned i = 0; i < COMMANDS; i++) {
		if (!strcmp(name, commands[i].name)) {
			*out = &commands[i];
			return 0;
		}
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
						 commands[i].name);
	}
	vmm_log("ctl: unknown command '%s'; there are: %s", name, names);
	return -EINVAL;
}

static int take_word(struct ctl_request *request, const struct options *words, const char *word)
{
	if (request->help)
		return 0;
	if (request->command)
		return options_unexpected(words, word);
	if (request->path)
		return find_command(word, &request->command);
	request->path = word;
	return 0;
}

static int parse(struct ctl_request *request, int argc, char **argv)
{
	enum { JSON, HELP };
	static const struct option_spec specs[] = {
		[JSON] = {"json", OPTION_ALONE, false, false},
		[HELP] = {"help", OPTION_ALONE, false, false},
	};
	struct options words = {.command = "viommu ctl", .specs = specs, .count = 2, .argc = argc, .argv = argv};
	const char *word;
	int option, err = 0;

	while (!err && (option = options_next(&words, &word)) != OPTIONS_END) {
		request->json |= option == JSON;
		request->help |= option == HELP;
		err = option == OPTIONS_WORD ? take_word(request, &words, word) : option == OPTIONS_BAD ? -EINVAL : 0;
	}
	if (!err && !request->command && !request->help) {
		vmm_log("ctl: a socket and one command are wanted (try: viommu ctl --help)");
		err = -EINVAL;
	}
	return err;
}

static int refuse(const char *path, int error)
{
	vmm_log("ctl: cannot connect to %s: %s; is there a monitor with --control %s?", path, strerror(error), path);
	return -error;
}

static int connect_to(const char *path)
{
	const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (!*path || strlen(path) >= sizeof(address.sun_path)) {
		vmm_log("ctl: '%s': the path of a socket has 1 to 107 characters", path);
		return -EINVAL;
	}
	memcpy(address.sun_path, path, strlen(path));

	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return refuse(path, errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		const int error = errno;

		close(fd);
		return refuse(path, error);
	}
	return fd;
}

/* One line, or what came before an end or an error; at most size - 1 bytes. */
static size_t receive_line(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && !memchr(line, '\n', len)) {
		const ssize_t got = recv(fd, line + len, size - 1 - len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	return len;
}

static json_t *ask(int fd, const struct ctl_command *command)
{
	char request[64], *line = malloc(ANSWER_MAX);
	const int len = snprintf(request, sizeof(request), "{\"execute\": \"%s\"}\n", command->name);
	json_t *answer = NULL;

	if (line && send(fd, request, (size_t)len, MSG_NOSIGNAL) == len)
		answer = json_loadb(line, receive_line(fd, line, ANSWER_MAX), 0, NULL);
	free(line);
	return answer;
}

static void wait_for_end(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

static int talk(int fd, const struct ctl_request *request)
{
	json_t *answer = ask(fd, request->command);
	const json_t *value = json_object_get(answer, "return"), *error = json_object_get(answer, "error");
	int status = STATUS_FAILED;

	if (value) {
		(request->json ? request->command->show_json : request->command->show)(value);
		if (request->command->ends)
			wait_for_end(fd);
		status = STATUS_OK;
	} else if (json_is_string(error)) {
		vmm_log("ctl: %s: %s", request->path, json_string_value(error));
	} else {
		vmm_log("ctl: %s: no answer", request->path);
	}
	json_decref(answer);
	return status;
}

int ctl_main(int argc, char **argv)
{
	struct ctl_request request = {0};

	if (parse(&request, argc, argv))
		return STATUS_UNUSABLE;
	if (request.help) {
		help();
		return STATUS_OK;
	}

	const int fd = connect_to(request.path);

	if (fd < 0)
		return STATUS_UNUSABLE;

	const int status = talk(fd, &request);

	close(fd);
	return status;
}
