/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: its loop runs in a thread of its own, clients are plain sockets here. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"
#include "vmm/config/config.h"
#include "vmm/control/internal.h"
#include "vmm/irqchip/route.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/polling.h"

enum { FIRST_DEVICE = 3, REPLY_MAX = 64 << 10, LONGEST = 64 << 10 };

/* What a file can be called, and JSON cannot say. */
static char odd_name[] = "disk \"1\" \xff";

struct fixture {
	char dir[32], path[64];
	struct run_config config;
	struct control *control;
	struct loop *loop;
	pthread_t thread;
	struct viommu *v;
	struct viommu_endpoint *endpoint;
	struct registry *registry;
	struct pci_dev unit, device;
};

static void note_fault(void *opaque, const struct viommu_fault *fault)
{
	fault_history_add(opaque, fault);
}

static uint64_t exits(void *opaque)
{
	(void)opaque;
	return 7;
}

static void interrupts(void *opaque, struct irq_stats *out)
{
	(void)opaque;
	*out = (struct irq_stats){.changed = 1, .resolved = 2, .invalidations = 3, .commits = 4, .blocked = 5};
}

static bool vtd(void *opaque, struct viommu_vtd_stats *out)
{
	const struct fixture *f = opaque;

	*out = (struct viommu_vtd_stats){.size = sizeof(struct viommu_vtd_stats), 1, 2, 3, 4, 5, 6, 7, 8};
	return f->config.iommu.kind == IOMMU_INTEL;
}

static bool requests(void *opaque, struct request_stats *out)
{
	(void)opaque;
	*out = (struct request_stats){1, 2, 3, {4, 5000, 6, 7}};
	return true;
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
	*out = (struct kick_stats){8, {9, 10000, 11, 12}};
	return true;
}

static const struct pci_ops device_ops = {.iotlb_stats = iotlb_stats, .kick_stats = kick_stats};
static const struct pci_ops unit_ops = {0};

static void *run_loop(void *opaque)
{
	struct fixture *f = opaque;

	loop_run(f->loop);
	control_detach(f->control);
	return NULL;
}

static void start(struct fixture *f)
{
	assert_int_equal(loop_create(&f->loop), 0);

	const struct control_machine machine = {f->loop, f->v, exits, interrupts, vtd, requests, f, f->registry};

	assert_int_equal(control_attach(f->control, &machine), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
}

static void finish(struct fixture *f)
{
	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	loop_destroy(f->loop);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/viommu-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/control", f->dir);
	f->config = (struct run_config){.cpus = 2, .memory.size = 64 << 20, .control = f->path, .device_count = 1};
	f->config.iommu.kind = IOMMU_VIRTIO;
	f->config.devices[0] =
		(struct device_config){.kind = DEVICE_DISK, .name = odd_name, .iommu = true, .slot = FIRST_DEVICE};
	assert_int_equal(control_create(&f->config, &f->control), 0);

	const struct viommu_config core = {
		.size = sizeof(struct viommu_config), .fault = note_fault, .opaque = control_faults(f->control)};

	assert_int_equal(viommu_create(&core, &f->v), 0);
	assert_int_equal(viommu_endpoint_add(f->v, FIRST_DEVICE << 3, "disk", &f->endpoint), 0);
	/* The machine's own function is none of the devices that are told of. */
	f->unit = (struct pci_dev){.ops = &unit_ops, .name = "0000:00:01.0"};
	f->device = (struct pci_dev){.ops = &device_ops, .name = "0000:00:03.0"};
	assert_int_equal(registry_create(&f->registry), 0);
	assert_int_equal(registry_add(f->registry, &(struct registered){.dev = &f->unit, .requester = 1 << 3}), 0);
	assert_int_equal(registry_add(f->registry, &(struct registered){.dev = &f->device,
									.requester = FIRST_DEVICE << 3,
									.config = &f->config.devices[0]}),
			 0);
	start(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	finish(f);
	control_destroy(f->control);
	assert_int_equal(access(f->path, F_OK), -1);
	registry_destroy(f->registry);
	viommu_endpoint_remove(f->endpoint);
	viommu_destroy(f->v);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int connect_client(const struct fixture *f)
{
	const struct timeval limit = {.tv_sec = 20};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static void send_bytes(int fd, const char *bytes, size_t len)
{
	while (len) {
		const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		assert_true(sent > 0);
		bytes += sent;
		len -= (size_t)sent;
	}
}

/* One line, byte by byte so that nothing of the next one is taken. NULL: the monitor hung up. */
static json_t *read_reply(int fd)
{
	static char line[REPLY_MAX];
	size_t len = 0;

	while (len < sizeof(line) && recv(fd, line + len, 1, 0) == 1)
		if (line[len++] == '\n')
			break;
	if (!len)
		return NULL;
	assert_int_equal(line[len - 1], '\n');
	json_t *reply = json_loadb(line, len, 0, NULL);

	assert_non_null(reply);
	return reply;
}

static json_t *ask(int fd, const char *line)
{
	send_bytes(fd, line, strlen(line));
	send_bytes(fd, "\n", 1);
	return read_reply(fd);
}

static void expect_error(int fd, const char *line, const char *part)
{
	json_t *reply = ask(fd, line);
	const char *error = json_string_value(json_object_get(reply, "error"));

	assert_non_null(error);
	assert_non_null(strstr(error, part));
	json_decref(reply);
}

static void expect_info(int fd)
{
	json_t *reply = ask(fd, "{\"execute\": \"info\"}");

	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "return"), "cpus")), 2);
	json_decref(reply);
}

static void test_info_tells_devices(void **state)
{
	const int fd = connect_client(*state);
	json_t *reply = ask(fd, "{\"execute\": \"info\"}"), *info = json_object_get(reply, "return");
	json_t *device = json_array_get(json_object_get(info, "devices"), 0);

	assert_int_equal(json_integer_value(json_object_get(info, "memory")), 64 << 20);
	assert_int_equal(json_integer_value(json_object_get(info, "pid")), getpid());
	assert_int_equal(json_integer_value(json_object_get(info, "boots")), 1);
	assert_string_equal(json_string_value(json_object_get(info, "iommu")), "virtio");
	assert_string_equal(json_string_value(json_object_get(device, "slot")), "03.0");
	assert_string_equal(json_string_value(json_object_get(device, "kind")), "disk");
	assert_string_equal(json_string_value(json_object_get(device, "name")), "disk \"1\" ?");
	assert_true(json_is_true(json_object_get(device, "iommu")));
	json_decref(reply);
	close(fd);
}

static void blocked_dma(const struct fixture *f, uint64_t address)
{
	char byte;

	assert_int_equal(viommu_dma_read(f->endpoint, (struct viommu_iova){address}, &byte, 1), -EFAULT);
}

static void test_stats_count_faults_of_a_device(void **state)
{
	const struct fixture *f = *state;
	const int fd = connect_client(f);

	blocked_dma(f, 0x1000);
	blocked_dma(f, 0x2000);
	json_t *reply = ask(fd, "{\"execute\": \"stats\"}"), *stats = json_object_get(reply, "return");
	json_t *device = json_array_get(json_object_get(stats, "devices"), 0);

	assert_int_equal(json_integer_value(json_object_get(stats, "faults")), 2);
	assert_int_equal(json_integer_value(json_object_get(stats, "maps")), 0);
	assert_int_equal(json_integer_value(json_object_get(stats, "exits")), 7);
	assert_int_equal(json_integer_value(json_object_get(stats, "routes_changed")), 1);
	assert_int_equal(json_integer_value(json_object_get(stats, "routes_resolved")), 2);
	assert_int_equal(json_integer_value(json_object_get(stats, "route_invalidations")), 3);
	assert_int_equal(json_integer_value(json_object_get(stats, "route_commits")), 4);
	assert_int_equal(json_integer_value(json_object_get(stats, "interrupts_blocked")), 5);
	assert_int_equal(json_integer_value(json_object_get(stats, "requests")), 1);
	assert_int_equal(json_integer_value(json_object_get(stats, "request_batches")), 2);
	assert_int_equal(json_integer_value(json_object_get(stats, "request_notifications")), 3);
	assert_int_equal(json_integer_value(json_object_get(stats, "polling_begun")), 4);
	assert_int_equal(json_integer_value(json_object_get(stats, "polling_us")), 5);
	assert_int_equal(json_integer_value(json_object_get(stats, "polling_looks")), 6);
	assert_int_equal(json_integer_value(json_object_get(stats, "polling_found")), 7);
	assert_string_equal(json_string_value(json_object_get(device, "path")), "vhost-user");
	assert_int_equal(json_integer_value(json_object_get(device, "misses")), 1);
	assert_int_equal(json_integer_value(json_object_get(device, "updates")), 2);
	assert_int_equal(json_integer_value(json_object_get(device, "invalidations")), 3);
	assert_int_equal(json_integer_value(json_object_get(device, "connections")), 4);
	assert_int_equal(json_integer_value(json_object_get(device, "notifications")), 8);
	assert_int_equal(json_integer_value(json_object_get(device, "polling_begun")), 9);
	assert_int_equal(json_integer_value(json_object_get(device, "polling_us")), 10);
	assert_int_equal(json_integer_value(json_object_get(device, "polling_looks")), 11);
	assert_int_equal(json_integer_value(json_object_get(device, "polling_found")), 12);
	assert_int_equal(json_integer_value(json_object_get(device, "faults")), 2);
	json_decref(reply);
	close(fd);
}

static void expect_counters(const json_t *stats)
{
	static const char *const names[] = {"context_invalidations",
					    "iotlb_invalidations",
					    "device_tlb_invalidations",
					    "irq_invalidations",
					    "waits",
					    "timeouts",
					    "faults_recorded",
					    "faults_lost"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(json_integer_value(json_object_get(stats, names[i])), i + 1);
	assert_true(json_is_integer(json_object_get(stats, "walks")));
}

/* Between two machines the configuration may be changed. */
static void test_vtd_units_have_keys_and_counters(void **state)
{
	struct fixture *f = *state;
	const int fd = connect_client(f);
	json_t *reply = ask(fd, "{\"execute\": \"stats\"}"), *info;

	assert_null(json_object_get(json_object_get(reply, "return"), "waits"));
	json_decref(reply);
	finish(f);
	f->config.iommu = (struct iommu_config){
		.kind = IOMMU_INTEL, .intremap = true, .intel = {.aw_bits = 57, .device_iotlb = true}};
	f->config.devices[0].ats = true;
	start(f);
	reply = ask(fd, "{\"execute\": \"stats\"}");
	expect_counters(json_object_get(reply, "return"));
	json_decref(reply);
	reply = ask(fd, "{\"execute\": \"info\"}");
	info = json_object_get(reply, "return");
	assert_string_equal(json_string_value(json_object_get(info, "iommu")), "intel");
	assert_int_equal(json_integer_value(json_object_get(info, "aw_bits")), 57);
	assert_int_equal(json_integer_value(json_object_get(info, "input_bits")), 57);
	assert_true(json_is_true(json_object_get(info, "intremap")));
	assert_true(json_is_true(json_object_get(info, "device_iotlb")));
	assert_true(json_is_false(json_object_get(info, "eim")));
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(info, "devices"), 0), "ats")));
	json_decref(reply);
	close(fd);
}

static void test_faults_are_the_last_64(void **state)
{
	const struct fixture *f = *state;
	const int fd = connect_client(f);

	for (uint64_t i = 0; i < 70; i++)
		blocked_dma(f, UINT64_MAX - 100 + i);
	json_t *reply = ask(fd, "{\"execute\": \"faults\"}");
	const json_t *faults = json_object_get(json_object_get(reply, "return"), "faults");
	const json_t *first = json_array_get(faults, 0);

	assert_int_equal(json_array_size(faults), 64);
	assert_string_equal(json_string_value(json_object_get(first, "device")), "0000:00:03.0");
	assert_string_equal(json_string_value(json_object_get(first, "address")), "0xffffffffffffffa1");
	assert_string_equal(json_string_value(json_object_get(first, "access")), "read");
	assert_string_equal(json_string_value(json_object_get(first, "reason")), "not attached");
	assert_true(json_is_null(json_object_get(first, "domain")));
	assert_true(json_real_value(json_object_get(first, "time")) > 1e9);
	json_decref(reply);
	close(fd);
}

static void test_malformed_requests_keep_the_connection(void **state)
{
	const int fd = connect_client(*state);
	char deep[4096];

	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = 0;
	expect_error(fd, "nonsense", "not JSON");
	expect_error(fd, "{\"execute\": \"info\"", "not JSON");
	expect_error(fd, "{\"execute\": \"info\"} x", "not JSON");
	expect_error(fd, deep, "not JSON");
	expect_error(fd, "[1, 2]", "\"execute\"");
	expect_error(fd, "{}", "\"execute\"");
	expect_error(fd, "{\"execute\": 1}", "\"execute\"");
	expect_error(fd, "{\"execute\": \"info\", \"id\": 1}", "unknown member 'id'");
	expect_error(fd, "{\"execute\": \"dance\"}", "there are: info, stats, faults, stop");
	send_bytes(fd, "\0\n\n \t\r\n", 7);
	json_decref(read_reply(fd)); /* for the zero byte; blank lines have no reply */
	expect_info(fd);
	close(fd);
}

static void test_a_line_in_pieces_is_one_request(void **state)
{
	const char *line = "{\"execute\": \"info\"}";
	const int fd = connect_client(*state);

	for (size_t i = 0; i < strlen(line); i++) {
		send_bytes(fd, line + i, 1);
		usleep(1000);
	}
	json_t *reply = ask(fd, "");

	assert_non_null(json_object_get(reply, "return"));
	json_decref(reply);
	close(fd);
}

static void test_last_line_needs_no_newline(void **state)
{
	const char *line = "{\"execute\": \"info\"}";
	const int fd = connect_client(*state);

	send_bytes(fd, line, strlen(line));
	shutdown(fd, SHUT_WR);
	json_t *reply = read_reply(fd);

	assert_non_null(json_object_get(reply, "return"));
	json_decref(reply);
	assert_null(read_reply(fd));
	close(fd);
}

static void test_too_long_a_line_is_an_error_and_the_end(void **state)
{
	const int fd = connect_client(*state);
	char *line = malloc(LONGEST + 2);

	memset(line, 'x', LONGEST + 2);
	line[LONGEST] = 0;
	expect_error(fd, line, "not JSON"); /* the longest that is allowed */
	line[LONGEST] = 'x';
	send_bytes(fd, line, LONGEST + 1);
	json_t *reply = read_reply(fd);

	assert_non_null(strstr(json_string_value(json_object_get(reply, "error")), "64 KiB"));
	assert_null(read_reply(fd));
	json_decref(reply);
	free(line);
	close(fd);
}

/* Requests until the socket has taken no more for a while; how many. */
static size_t fill(int fd, const char *line)
{
	size_t sent = 0;

	for (unsigned idle = 0; idle < 30;) {
		if (send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)strlen(line)) {
			sent++;
			idle = 0;
		} else {
			usleep(10000);
			idle++;
		}
	}
	return sent;
}

/* The monitor stops to read one that does not read, and others go on; no request is lost. */
static void test_one_that_does_not_read_disturbs_nobody(void **state)
{
	const int slow = connect_client(*state), other = connect_client(*state);
	const size_t sent = fill(slow, "{\"execute\": \"info\"}\n");
	size_t replies = 0;

	for (unsigned i = 0; i < 100; i++)
		expect_info(other);
	shutdown(slow, SHUT_WR);
	for (json_t *reply; (reply = read_reply(slow)); replies++) {
		assert_non_null(json_object_get(reply, "return"));
		json_decref(reply);
	}
	assert_true(sent > 100);
	assert_int_equal(replies, sent);
	close(slow);
	close(other);
}

static void test_a_client_too_many_is_told(void **state)
{
	int fds[CONTROL_CLIENTS_MAX];

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		fds[i] = connect_client(*state);
		expect_info(fds[i]);
	}
	const int extra = connect_client(*state);
	json_t *reply = read_reply(extra);

	assert_string_equal(json_string_value(json_object_get(reply, "error")), "too many clients");
	assert_null(read_reply(extra));
	json_decref(reply);
	close(extra);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	usleep(200000);
	const int again = connect_client(*state);

	expect_info(again);
	close(again);
}

static void test_clients_live_through_a_reboot(void **state)
{
	struct fixture *f = *state;
	const int fd = connect_client(f);

	expect_info(fd);
	finish(f);
	const int early = connect_client(f); /* between two machines */

	send_bytes(fd, "{\"execute\": \"stats\"}\n", 21);
	start(f);
	json_t *reply = read_reply(fd);

	assert_non_null(json_object_get(json_object_get(reply, "return"), "maps"));
	json_decref(reply);
	reply = ask(early, "{\"execute\": \"info\"}");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(reply, "return"), "boots")), 2);
	json_decref(reply);
	close(fd);
	close(early);
}

static void test_stop_ends_the_loop_after_its_reply(void **state)
{
	struct fixture *f = *state;
	const int fd = connect_client(f);

	json_t *reply = ask(fd, "{\"execute\": \"stop\"}");

	assert_true(json_is_object(json_object_get(reply, "return")));
	json_decref(reply);
	pthread_join(f->thread, NULL);
	assert_true(control_stopped(f->control));
	loop_destroy(f->loop);
	start(f);
	close(fd);
}

static void test_the_socket_is_private_and_refused_while_in_use(void **state)
{
	const struct fixture *f = *state;
	struct control_socket second;
	struct stat status;

	assert_int_equal(stat(f->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(control_socket_open(&second, f->path) < 0);

	const int fd = connect_client(f);

	expect_info(fd);
	close(fd);
}

/* A socket that nobody listens to is what a killed monitor leaves. */
static void test_a_stale_socket_is_replaced_other_files_are_not(void **state)
{
	const struct fixture *f = *state;
	struct control_socket stale, fresh, other;
	char path[80];

	snprintf(path, sizeof(path), "%s/stale", f->dir);
	assert_int_equal(control_socket_open(&stale, path), 0);
	close(stale.fd);
	assert_int_equal(control_socket_open(&fresh, path), 0);
	control_socket_close(&fresh);
	assert_int_equal(access(path, F_OK), -1);

	const int file = open(path, O_CREAT | O_WRONLY, 0600);

	assert_true(control_socket_open(&other, path) < 0);
	assert_int_equal(access(path, F_OK), 0);
	close(file);
	unlink(path);
	assert_true(control_socket_open(&other, "/nonexistent/control") < 0);
	assert_true(control_socket_open(&other, "") < 0);
}

static void test_a_name_that_was_taken_over_stays(void **state)
{
	const struct fixture *f = *state;
	struct control_socket first;
	char path[80];

	snprintf(path, sizeof(path), "%s/taken", f->dir);
	assert_int_equal(control_socket_open(&first, path), 0);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	control_socket_close(&first);
	assert_int_equal(unlink(path), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_info_tells_devices),
		TEST(test_stats_count_faults_of_a_device),
		TEST(test_vtd_units_have_keys_and_counters),
		TEST(test_faults_are_the_last_64),
		TEST(test_malformed_requests_keep_the_connection),
		TEST(test_a_line_in_pieces_is_one_request),
		TEST(test_last_line_needs_no_newline),
		TEST(test_too_long_a_line_is_an_error_and_the_end),
		TEST(test_one_that_does_not_read_disturbs_nobody),
		TEST(test_a_client_too_many_is_told),
		TEST(test_clients_live_through_a_reboot),
		TEST(test_stop_ends_the_loop_after_its_reply),
		TEST(test_the_socket_is_private_and_refused_while_in_use),
		TEST(test_a_stale_socket_is_replaced_other_files_are_not),
		TEST(test_a_name_that_was_taken_over_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
