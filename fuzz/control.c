/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of a client on the control socket: each line that is not blank gets one answer, a line of JSON with a return
 * value or an error.
 */
#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "fuzz/fuzz.h"
#include "vmm/config/config.h"
#include "vmm/control/internal.h"
#include "vmm/irqchip/route.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"

enum { ROUNDS = 8, ANSWERS_MAX = 1 << 20 };

static char disk[] = "disk \"1\" \xff";
static struct run_config config = {
	.cpus = 2,
	.memory.size = 64 << 20,
	.iommu.kind = IOMMU_VIRTIO,
	.device_count = 1,
	.devices[0] = {.kind = DEVICE_DISK, .name = disk, .iommu = true, .slot = 3},
};
static struct control control = {.config = &config, .socket.fd = -1, .spare_fd = -1};
static struct loop_work work;
static unsigned rounds;

/* The loop runs for so many turns after the last byte has come. */
static void take_turn(void *opaque)
{
	(void)opaque;
	if (rounds--)
		loop_post(control.machine.loop, &work);
	else
		loop_stop(control.machine.loop);
}

static void serve(void)
{
	rounds = ROUNDS;
	loop_post(control.machine.loop, &work);
	CHECK(!loop_run(control.machine.loop), "the loop ends");
}

static void make_control(void)
{
	work = (struct loop_work){.run = take_turn};
	fault_history_init(&control.faults);
	CHECK(!loop_create(&control.machine.loop), "no loop");
	CHECK(!viommu_create(NULL, &control.machine.v), "no context");
	static const struct pci_ops ops = {0};
	static struct pci_dev device = {.ops = &ops, .name = "0000:00:03.0"};
	struct registry *registry;

	CHECK(!registry_create(&registry), "no registry");
	CHECK(!registry_add(registry,
			    &(struct registered){.dev = &device, .requester = 3 << 3, .config = &config.devices[0]}),
	      "no device");
	control.machine.registry = registry;
}

/* Lines with something in them; the last one needs no newline. */
static unsigned count_lines(const uint8_t *bytes, size_t size)
{
	unsigned count = 0;
	bool filled = false;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			count += filled;
			filled = false;
		} else if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r') {
			filled = true;
		}
	}
	return count + filled;
}

static void check_answer(const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

	CHECK(json_is_object(answer) && json_object_size(answer) == 1, "answer '%.*s'", (int)len, line);
	CHECK(json_object_get(answer, "return") || json_is_string(json_object_get(answer, "error")), "answer '%.*s'",
	      (int)len, line);
	json_decref(answer);
}

/* All that there is to read, until there is no more, or the other side has closed. */
static size_t read_answers(int fd, char *answers, size_t have)
{
	ssize_t got;

	while ((got = recv(fd, answers + have, ANSWERS_MAX - have, MSG_DONTWAIT)) > 0)
		have += (size_t)got;
	CHECK(have < ANSWERS_MAX, "too many answers");
	return have;
}

static unsigned check_answers(const char *answers, size_t size)
{
	unsigned count = 0;

	while (size) {
		const char *end = memchr(answers, '\n', size);

		CHECK(end, "half an answer");
		check_answer(answers, (size_t)(end - answers));
		size -= (size_t)(end + 1 - answers);
		answers = end + 1;
		count++;
	}
	return count;
}

/* In pieces, as a socket may deliver them: the first byte says how long each is. */
static size_t talk(int fd, const uint8_t *bytes, size_t size, size_t piece, char *answers)
{
	size_t have = 0;

	for (size_t at = 0; at < size; at += piece) {
		const size_t len = size - at < piece ? size - at : piece;

		CHECK(send(fd, bytes + at, len, MSG_NOSIGNAL) == (ssize_t)len, "cannot send");
		serve();
		have = read_answers(fd, answers, have);
	}
	shutdown(fd, SHUT_WR);
	while (control.clients) {
		serve();
		have = read_answers(fd, answers, have);
	}
	return read_answers(fd, answers, have);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char answers[ANSWERS_MAX];
	int pair[2];

	if (!size)
		return 0;
	if (!control.machine.loop)
		make_control();
	control.stopped = false;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "no sockets");
	control_client_add(&control, pair[1]);

	const size_t piece = 1 + bytes[0] * 16u;
	const size_t have = talk(pair[0], bytes + 1, size - 1, piece, answers);

	CHECK(check_answers(answers, have) == count_lines(bytes + 1, size - 1), "answers");
	CHECK(!control.client_count, "a client is left");
	close(pair[0]);
	return 0;
}
