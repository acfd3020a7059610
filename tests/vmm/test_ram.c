/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory in files: made private, allocated whole, left behind only when a guest ran, never cut off. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "tests/support/test.h"
#include "vmm/kvm/ram.h"

enum { SIZE = 1 << 20, BLOCK = 512 };

static char dir[32], path[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/viommu-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ram", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct ram_config in_file(uint64_t size)
{
	return (struct ram_config){.size = size, .file = path};
}

static void make_file(off_t size, const char *content)
{
	const int fd = open(path, O_CREAT | O_WRONLY, 0644);

	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, content, strlen(content), 0), strlen(content));
	close(fd);
}

static off_t size_of_file(void)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_size;
}

static void test_a_new_file_is_private_and_allocated(void **state)
{
	const struct ram_config config = in_file(SIZE);
	struct stat status;
	struct ram ram;

	(void)state;
	assert_int_equal(ram_init_config(&ram, &config), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(status.st_size, SIZE);
	assert_true(status.st_blocks >= SIZE / BLOCK);
	strcpy(ram_at(&ram, SIZE - 16, 16), "guest");
	ram_keep(&ram);
	ram_fini(&ram);

	char text[8] = "";
	const int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, text, 6, SIZE - 16), 6);
	close(fd);
	assert_string_equal(text, "guest");
}

static void test_without_a_guest_a_new_file_goes_and_an_old_one_stays(void **state)
{
	const struct ram_config config = in_file(SIZE);
	struct ram ram;

	(void)state;
	assert_int_equal(ram_init_config(&ram, &config), 0);
	ram_fini(&ram);
	assert_int_equal(access(path, F_OK), -1);

	make_file(SIZE / 2, "old");
	assert_int_equal(ram_init_config(&ram, &config), 0);
	assert_string_equal((char *)ram_at(&ram, 0, 4), "old");
	ram_fini(&ram);
	assert_int_equal(size_of_file(), SIZE / 2);

	assert_int_equal(ram_init_config(&ram, &config), 0);
	ram_keep(&ram);
	ram_fini(&ram);
	assert_int_equal(size_of_file(), SIZE);
}

static void test_a_larger_file_is_not_cut_off(void **state)
{
	const struct ram_config config = in_file(SIZE);
	struct ram ram;

	(void)state;
	make_file(2 * SIZE, "precious");
	assert_int_equal(ram_init_config(&ram, &config), -EINVAL);
	assert_int_equal(size_of_file(), 2 * SIZE);
}

static void test_a_file_has_one_user(void **state)
{
	const struct ram_config config = in_file(SIZE);
	struct ram first, second;

	(void)state;
	assert_int_equal(ram_init_config(&first, &config), 0);
	assert_int_equal(ram_init_config(&second, &config), -EBUSY);
	ram_fini(&first);
	assert_int_equal(ram_init_config(&second, &config), 0);
	ram_fini(&second);
}

static void test_what_is_not_a_plain_file_is_refused(void **state)
{
	const struct ram_config folder = {.size = SIZE, .file = dir};
	const struct ram_config nowhere = {.size = SIZE, .file = "/nonexistent/ram"};
	const struct ram_config config = in_file(SIZE);
	struct ram_config huge = in_file(2 * RAM_HUGE_2M);
	struct ram ram;

	(void)state;
	assert_int_equal(ram_init_config(&ram, &folder), -EINVAL);
	assert_int_equal(ram_init_config(&ram, &nowhere), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ram_init_config(&ram, &config), -EINVAL);
	unlink(path);
	huge.hugepages = true;
	assert_int_equal(ram_init_config(&ram, &huge), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
}

/* tmpfs knows beforehand that it is too small, so that nothing fills up here. */
static void test_a_full_file_system_is_an_error_and_leaves_nothing(void **state)
{
	static const char full[] = "/dev/shm/viommu-test-ram";
	struct ram_config config = {.file = (char *)full};
	struct statvfs space;
	struct statfs type;
	struct ram ram;

	(void)state;
	if (statfs("/dev/shm", &type) || type.f_type != TMPFS_MAGIC || statvfs("/dev/shm", &space) || !space.f_blocks)
		skip();
	config.size = 2 * (uint64_t)space.f_blocks * space.f_frsize;
	assert_int_equal(ram_init_config(&ram, &config), -ENOSPC);
	assert_int_equal(access(full, F_OK), -1);
}

/* Nobody has a terabyte of huge pages to spare. */
static void test_missing_hugepages_are_an_error(void **state)
{
	const struct ram_config config = {.size = 1ull << 40, .hugepages = true};
	struct ram ram;

	(void)state;
	assert_true(ram_init_config(&ram, &config) < 0);
	assert_int_equal(ram.fd, -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* Who gets the descriptor can write, but not take the memory away from under us. */
static void test_memory_cannot_be_cut(void **state)
{
	const char byte = 1;
	struct ram ram;

	(void)state;
	assert_int_equal(ram_init(&ram, SIZE), 0);
	assert_int_equal(ftruncate(ram.fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(ram.fd, 2 * SIZE), -1);
	assert_int_equal(pwrite(ram.fd, &byte, 1, SIZE - 1), 1);
	assert_int_equal(ram.base[SIZE - 1], 1);
	ram_fini(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_new_file_is_private_and_allocated),
		TEST(test_without_a_guest_a_new_file_goes_and_an_old_one_stays),
		TEST(test_a_larger_file_is_not_cut_off),
		TEST(test_a_file_has_one_user),
		TEST(test_what_is_not_a_plain_file_is_refused),
		TEST(test_a_full_file_system_is_an_error_and_leaves_nothing),
		TEST(test_missing_hugepages_are_an_error),
		TEST(test_memory_cannot_be_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
