/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk that fails on the host: the guest sees an error, and the operator which file, where, and why; in few lines. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/net_driver.h"

enum { DISK = 1 << 20, ROOM = 64 << 10, PAGE = 4096, PAGES = 7, MANY = 300 };

static char dir[32], path[64], line[512];
static int lines[2];

static int set_up(void **state)
{
	net_setup(state);
	strcpy(dir, "/tmp/viommu-blk-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	return 0;
}

static int tear_down(void **state)
{
	net_teardown(state);
	unlink(path);
	umount(dir);
	rmdir(dir);
	return 0;
}

static void make_file(off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void make_disk(struct net_fixture *f)
{
	const struct virtio_env env = {.loop = f->loop};
	const struct virtio_disk_config config = {.path = path, .queues = 1};

	assert_int_equal(virtio_blk_create(&env, &config, &f->pci), 0);
	net_start_device(f, 0);
}

/* A write of pages, or a read of as many; the status that the device gives. */
static uint8_t request(struct net_fixture *f, uint32_t type, uint64_t offset)
{
	static uint8_t bytes[sizeof(struct virtio_blk_outhdr) + PAGES * PAGE];
	const struct virtio_blk_outhdr header = {.type = htole32(type), .sector = htole64(offset / 512)};
	const bool write = type == VIRTIO_BLK_T_OUT;
	const uint32_t room = write ? 1 : PAGES * PAGE + 1;
	uint64_t address;
	uint32_t used;

	memset(bytes, 0x5a, sizeof(bytes));
	memcpy(bytes, &header, sizeof(header));
	net_add_command(f, 0, bytes, write ? sizeof(bytes) : sizeof(header), room);
	net_kick_queue(f, 0);
	while (!net_used(f, 0, &used, &address))
		net_settle(f);
	return f->ram[BUFFERS + BUFFER_SIZE + room - 1];
}

static int begin_lines(void)
{
	int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe2(lines, O_NONBLOCK | O_CLOEXEC), 0);
	dup2(lines[1], STDERR_FILENO);
	return saved;
}

/* How many there were; the first one is kept. */
static unsigned end_lines(int saved)
{
	static char all[1 << 16];
	ssize_t got = read(lines[0], all, sizeof(all) - 1);
	unsigned count = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	close(lines[0]);
	close(lines[1]);
	all[got > 0 ? got : 0] = 0;
	for (const char *at = all; (at = strchr(at, '\n')); at++)
		count++;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(all, "\n"), all);
	return count;
}

static void expect_line(unsigned count, const char *what)
{
	char expected[256];

	snprintf(expected, sizeof(expected), "viommu: disk %s: %s", path, what);
	assert_int_equal(count, 1);
	assert_string_equal(line, expected);
}

static bool mount_small(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tmpfs", dir, "tmpfs", 0, "size=64k");
}

static void test_file_system_that_is_full(void **state)
{
	struct net_fixture *f = *state;
	unsigned done = 0;
	uint8_t status;
	char what[64];

	if (!mount_small())
		skip();
	make_file(DISK);
	make_disk(f);
	int saved = begin_lines();

	while ((status = request(f, VIRTIO_BLK_T_OUT, done)) == VIRTIO_BLK_S_OK)
		done += PAGES * PAGE;
	unsigned count = end_lines(saved);

	assert_int_equal(status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(done, 2 * PAGES * PAGE); /* the third has room for two of its pages */
	snprintf(what, sizeof(what), "writing at offset %u: No space left on device", ROOM);
	expect_line(count, what);
}

static void test_file_that_becomes_shorter(void **state)
{
	struct net_fixture *f = *state;

	make_file(DISK);
	make_disk(f);
	assert_int_equal(truncate(path, 3 * PAGE), 0);
	int saved = begin_lines();
	uint8_t status = request(f, VIRTIO_BLK_T_IN, PAGE);
	unsigned count = end_lines(saved);

	assert_int_equal(status, VIRTIO_BLK_S_IOERR);
	expect_line(count, "reading at offset 12288: the file has become shorter");
}

/* What a guest does again and again, and fails each time, is not said each time; nor by the next guest. */
static void test_few_lines(void **state)
{
	const time_t begin = time(NULL);
	int saved = begin_lines();

	for (unsigned guest = 0; guest < 2; guest++) {
		struct net_fixture *f = *state;

		make_file(DISK);
		make_disk(f);
		assert_int_equal(truncate(path, PAGE), 0);
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(request(f, VIRTIO_BLK_T_IN, PAGE), VIRTIO_BLK_S_IOERR);
		net_teardown(state);
		net_setup(state);
	}
	assert_in_range(end_lines(saved), 1, 10 * (2 + (uint64_t)(time(NULL) - begin) / 5));
}

/* What is well is not said at all. */
static void test_no_line_without_need(void **state)
{
	struct net_fixture *f = *state;

	make_file(DISK);
	make_disk(f);
	int saved = begin_lines();

	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, i * PAGE), VIRTIO_BLK_S_OK);
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, i * PAGE), VIRTIO_BLK_S_OK);
	}
	/* Beyond the end the guest is wrong, and not the host. */
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, DISK), VIRTIO_BLK_S_IOERR);
	assert_int_equal(end_lines(saved), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_line_without_need),
		TEST(test_file_that_becomes_shorter),
		TEST(test_file_system_that_is_full),
		TEST(test_few_lines),
	};

	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
