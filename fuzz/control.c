/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of a client on the control socket: each line that is not blank gets one answer, a line of JSON with a return
 * value or an error, also where the machine is started again in between. What `viommu ctl` makes of an answer, and of
 * any JSON that another program at that socket may send, is lines of printable characters.
 */
#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "fuzz/fuzz.h"
#include "vmm/config/config.h"
#include "vmm/control/internal.h"
#include "vmm/control/show.h"
#include "vmm/irqchip/route.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"

enum { ROUNDS = 8, ANSWERS_MAX = 1 << 20, LONG = CONTROL_LINE_MAX + 1000 };

static char disk[] = "disk \"1\" \xff", directory[] = "/tmp/viommu-fuzz-XXXXXX", path[64];
static struct run_config config = {
	.cpus = 2,
	.memory.size = 64 << 20,
	.iommu.kind = IOMMU_VIRTIO,
	.control = path,
	.device_count = 1,
	.devices[0] = {.kind = DEVICE_DISK, .name = disk, .iommu = true, .slot = 3},
};
static struct control *control;
static struct control_machine machine;
static struct loop_work work;
static unsigned rounds;

/* The loop runs for so many turns after the last byte has come. */
static void take_turn(void *opaque)
{
	(void)opaque;
	if (rounds--)
		loop_post(machine.loop, &work);
	else
		loop_stop(machine.loop);
}

static void serve(void)
{
	rounds = ROUNDS;
	loop_post(machine.loop, &work);
	CHECK(!loop_run(machine.loop), "the loop ends");
}

static uint64_t exits(void *opaque)
{
	(void)opaque;
	return 7;
}

static void interrupts(void *opaque, struct irq_stats *out)
{
	(void)opaque;
	*out = (struct irq_stats){.changed = 1, .resolved = UINT64_MAX};
}

static bool vtd(void *opaque, struct viommu_vtd_stats *out)
{
	(void)opaque;
	*out = (struct viommu_vtd_stats){.size = sizeof(struct viommu_vtd_stats), .waits = 5};
	return config.iommu.kind == IOMMU_INTEL;
}

static bool iotlb_stats(struct pci_dev *dev, struct pci_iotlb_stats *out)
{
	(void)dev;
	*out = (struct pci_iotlb_stats){"vhost-user", 1, 2, 3, 4};
	return true;
}

static bool kick_stats(struct pci_dev *dev, struct kick_stats *out)
{
	(void)dev;
	*out = (struct kick_stats){1, {2, 3, 4, 5}};
	return true;
}

static void end(void)
{
	control_detach(control);
	control_destroy(control);
	rmdir(directory);
}

static void make_control(void)
{
	static const struct pci_ops ops = {.iotlb_stats = iotlb_stats, .kick_stats = kick_stats};
	static struct pci_dev device = {.ops = &ops, .name = "0000:00:03.0"},
			      unit = {.ops = &ops, .name = "0000:00:01.0"};
	struct registry *registry;

	work = (struct loop_work){.run = take_turn};
	machine = (struct control_machine){.exits = exits, .interrupts = interrupts, .vtd = vtd};
	CHECK(mkdtemp(directory), "no directory");
	snprintf(path, sizeof(path), "%s/control", directory);
	CHECK(!control_create(&config, &control), "no socket");
	atexit(end);
	CHECK(!loop_create(&machine.loop), "no loop");
	CHECK(!viommu_create(NULL, &machine.v), "no context");
	CHECK(!registry_create(&registry), "no registry");
	CHECK(!registry_add(registry, &(struct registered){.dev = &unit, .requester = 1 << 3}), "no unit");
	CHECK(!registry_add(registry,
			    &(struct registered){.dev = &device, .requester = 3 << 3, .config = &config.devices[0]}),
	      "no device");
	machine.registry = registry;
	CHECK(!control_attach(control, &machine), "not attached");
}

static int connect_client(void)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path));
	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)), "not connected");
	serve();
	return fd;
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

/* What goes to a terminal has no control characters; U+0080 to U+009f are some, too. */
static void check_printable(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		const uint8_t byte = (uint8_t)text[i];

		CHECK(byte == '\n' || (byte >= ' ' && byte != 0x7f), "byte %02x at %zu", byte, i);
		CHECK(byte != 0xc2 || i + 1 == size || (uint8_t)text[i + 1] < 0x80 || (uint8_t)text[i + 1] > 0x9f,
		      "a control character at %zu", i);
	}
}

/* As `viommu ctl` shows it, in each of its ways. */
static void show(const json_t *answer)
{
	void (*const ways[])(const json_t *) = {show_members, show_faults, show_nothing, show_json, show_json_faults};
	const json_t *value = json_object_get(answer, "return");
	FILE *const before = stdout;

	for (size_t i = 0; value && i < sizeof(ways) / sizeof(ways[0]); i++) {
		char *text = NULL;
		size_t size = 0;

		stdout = open_memstream(&text, &size);
		CHECK(stdout, "no memory");
		ways[i](value);
		fclose(stdout);
		stdout = before;
		check_printable(text, size);
		free(text);
	}
}

static void check_answer(const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);

	CHECK(json_is_object(answer) && json_object_size(answer) == 1, "answer '%.*s'", (int)len, line);
	CHECK(json_object_get(answer, "return") || json_is_string(json_object_get(answer, "error")), "answer '%.*s'",
	      (int)len, line);
	show(answer);
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

/* In pieces, as a socket may deliver them, between which the machine may be started again. */
static size_t talk(int fd, const uint8_t *bytes, size_t size, size_t piece, bool restarts, char *answers)
{
	size_t have = 0;

	for (size_t at = 0; at < size; at += piece) {
		const size_t len = size - at < piece ? size - at : piece;

		CHECK(send(fd, bytes + at, len, MSG_NOSIGNAL) == (ssize_t)len, "cannot send");
		if (restarts) {
			control_detach(control);
			CHECK(!control_attach(control, &machine), "not attached");
		}
		serve();
		have = read_answers(fd, answers, have);
	}
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; control->clients && i < size + 2; i++) {
		serve();
		have = read_answers(fd, answers, have);
	}
	return read_answers(fd, answers, have);
}

/* As many as there may be, and one more, which is told so. */
static void crowd(void)
{
	int fds[CONTROL_CLIENTS_MAX + 1];
	char text[64] = "";

	for (unsigned i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		fds[i] = connect_client();
	CHECK(control->client_count == CONTROL_CLIENTS_MAX, "%u clients", control->client_count);
	CHECK(recv(fds[CONTROL_CLIENTS_MAX], text, sizeof(text) - 1, 0) > 0 && strstr(text, "too many"), "'%s'", text);
	for (unsigned i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	serve();
	CHECK(!control->client_count, "%u clients", control->client_count);
}

/* A line that is too long is answered, and ends the conversation. */
static void be_long_winded(void)
{
	static char line[LONG], text[256];
	const int fd = connect_client();

	memset(line, '[', sizeof(line));
	for (size_t at = 0; at < sizeof(line); at += 8192) {
		const size_t len = sizeof(line) - at < 8192 ? sizeof(line) - at : 8192;

		if (send(fd, line + at, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		serve();
	}
	memset(text, 0, sizeof(text));
	CHECK(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0 && strstr(text, "longer"), "'%s'", text);
	close(fd);
	serve();
	CHECK(!control->client_count, "%u clients", control->client_count);
}

static void add_faults(unsigned count, const uint8_t *bytes, size_t size)
{
	for (unsigned i = 0; i < count; i++) {
		struct viommu_fault fault = {.endpoint = 3 << 3 | (i & 3)};

		if (size >= sizeof(fault.iova))
			memcpy(&fault.iova, bytes, sizeof(fault.iova));
		fault.access = size ? bytes[size - 1] & 3 : 0;
		fault.reason = i % 7;
		fault.in_domain = i & 1;
		fault_history_add(control_faults(control), &fault);
	}
}

/* Any JSON in the place of an answer. */
static void show_any(const uint8_t *bytes, size_t size)
{
	json_t *value = json_loadb((const char *)bytes, size, JSON_DECODE_ANY, NULL);
	json_t *answer = value && json_is_object(value) ? json_pack("{s:O}", "return", value) : NULL;

	if (answer)
		show(answer);
	json_decref(answer);
	json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const enum iommu_kind kinds[] = {IOMMU_VIRTIO, IOMMU_INTEL, IOMMU_NONE, IOMMU_INTEL};
	static char answers[ANSWERS_MAX];

	if (size < 2)
		return 0;
	if (!control)
		make_control();
	control->stopped = false;
	config.iommu.kind = kinds[bytes[1] & 3];
	add_faults(bytes[1] >> 5, bytes + 2, size - 2);
	if ((bytes[1] & 0x1c) == 0x10)
		crowd();
	if ((bytes[1] & 0x1c) == 0x14)
		be_long_winded();

	const size_t piece = 1 + bytes[0] * 16u;
	const int fd = connect_client();
	const size_t have = talk(fd, bytes + 2, size - 2, piece, bytes[1] & 0x08, answers);

	CHECK(check_answers(answers, have) == count_lines(bytes + 2, size - 2), "answers");
	CHECK(!control->client_count, "a client is left");
	CHECK(control_stopped(control) || !control->stopped, "stopped");
	close(fd);
	show_any(bytes + 2, size - 2);
	return 0;
}
