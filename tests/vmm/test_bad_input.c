/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What cannot be used, many times in one process: each gives one line and status 2, and afterwards the process has as
 * many open files, mappings and children as before. tests/guest/bad-input runs more of such command lines, a process
 * for each.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/run.h"
#include "vmm/speed.h"

enum { ARGUMENTS = 80, STATUS_UNUSABLE = 2, WARM_UP = 2, ROUNDS = 20, SLOW_ROUNDS = 2 };

static char dir[32], tap[IFNAMSIZ];

/* A bzImage of the smallest kind that the loader takes (Linux boot protocol 2.15). */
static void make_kernel(void)
{
	static const struct {
		unsigned at, len;
		const char *bytes;
	} parts[] = {
		{0x1f1, 1, "\x01"},                 /* setup_sects */
		{0x1f4, 4, "\x00\x03\x00\x00"},     /* syssize */
		{0x1fe, 2, "\x55\xaa"},             /* boot_flag */
		{0x200, 8, "\xeb\x6aHdrS\x0f\x02"}, /* jump, header, version */
		{0x211, 1, "\x01"},                 /* loaded high */
		{0x22c, 4, "\xff\xff\xff\x7f"},     /* initrd_addr_max */
		{0x236, 2, "\x01\x00"},             /* a 64-bit entry point */
		{0x238, 4, "\xff\x07\x00\x00"},     /* cmdline_size */
		{0x258, 4, "\x00\x00\x00\x01"},     /* pref_address */
		{0x260, 4, "\x00\x00\x10\x00"},     /* init_size */
	};
	const int fd = open("kernel", O_CREAT | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 16384), 0);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_int_equal(pwrite(fd, parts[i].bytes, parts[i].len, parts[i].at), parts[i].len);
	close(fd);
}

static void make_file(const char *name, const char *content, off_t size)
{
	const int fd = open(name, O_CREAT | O_WRONLY, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

/* A tap that stays, or goes, with no program behind it. False: not possible here. */
static bool keep_tap(int keep)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	bool done = false;

	if (fd < 0)
		return false;
	memcpy(request.ifr_name, tap, sizeof(tap));
	done = !ioctl(fd, TUNSETIFF, &request) && !ioctl(fd, TUNSETPERSIST, keep);
	close(fd);
	return done;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/viommu-test-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0711) || chdir(dir))
		return -1;
	make_kernel();
	make_file("text", "no kernel\n", 10);
	make_file("short-disk", "", 100);
	make_file("disk", "", 1 << 20);
	snprintf(tap, sizeof(tap), "vbad%u", (unsigned)getpid() % 1000000);
	if (!keep_tap(1))
		tap[0] = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (tap[0])
		keep_tap(0);
	unlink("kernel");
	unlink("text");
	unlink("short-disk");
	unlink("disk");
	return chdir("/") || rmdir(dir);
}

struct counts {
	unsigned files, mappings, children;
};

static unsigned count_entries(const char *path)
{
	DIR *folder = opendir(path);
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static unsigned count_lines(const char *path)
{
	char buffer[4096];
	const int fd = open(path, O_RDONLY);
	unsigned count = 0;
	ssize_t len;

	assert_true(fd >= 0);
	while ((len = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < len; i++)
			count += buffer[i] == '\n';
	close(fd);
	return count;
}

/* Children that nobody has waited for count, too; threads that have not ended are tasks. */
static struct counts count_all(void)
{
	const bool no_child = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;

	return (struct counts){count_entries("/proc/self/fd"), count_lines("/proc/self/maps"),
			       count_entries("/proc/self/task") + !no_child};
}

/* Run the command line and keep what it says; returns its status. */
static int run(const char *const *arguments, char *said, size_t size)
{
	char *argv[ARGUMENTS + 4] = {(char *)"run", (char *)"--serial", (char *)"none"};
	const int kept = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
	int argc = 3;

	assert_true(kept >= 0 && file >= 0);
	for (; *arguments; arguments++)
		argv[argc++] = (char *)*arguments;
	argv[argc] = NULL;
	dup2(file, STDERR_FILENO);

	const int status = run_main(argc, argv);

	dup2(kept, STDERR_FILENO);
	const ssize_t len = pread(file, said, size - 1, 0);

	said[len < 0 ? 0 : len] = 0;
	close(kept);
	close(file);
	return status;
}

static void expect_refusal(const char *const *arguments, const char *words)
{
	static const char prefix[] = "viommu: ";
	char said[2048];
	const int status = run(arguments, said, sizeof(said));
	const char *newline = strchr(said, '\n');

	if (status != STATUS_UNUSABLE || strncmp(said, prefix, strlen(prefix)) || !strstr(said, words) || !newline ||
	    newline[1])
		fail_msg("status %d where '%s' was to be said: %s", status, words, said);
}

/* The first rounds fill what the C library keeps. */
static void expect_nothing_left(const char *const *arguments, const char *words, unsigned rounds)
{
	struct counts before, after;

	for (unsigned i = 0; i < WARM_UP; i++)
		expect_refusal(arguments, words);
	before = count_all();
	for (unsigned i = 0; i < rounds; i++)
		expect_refusal(arguments, words);
	after = count_all();
	if (memcmp(&before, &after, sizeof(before)))
		fail_msg("'%s': %u files, %u mappings, %u tasks and children; %u, %u, %u before", words, after.files,
			 after.mappings, after.children, before.files, before.mappings, before.children);
}

#define REFUSED(words, ...) expect_nothing_left((const char *const[]){__VA_ARGS__, NULL}, words, ROUNDS)
#define KERNEL "--kernel", "kernel"

static void test_kernels(void **state)
{
	(void)state;
	REFUSED("nothing: No such file", "--kernel", "nothing");
	REFUSED("text", "--kernel", "text");
	REFUSED(dir, "--kernel", dir);
	REFUSED("nothing: No such file", KERNEL, "--initrd", "nothing");
}

static void test_options(void **state)
{
	(void)state;
	REFUSED("unknown option '--colour'", KERNEL, "--colour");
	REFUSED("an argument is missing", KERNEL, "--disk");
	REFUSED("unknown key 'speed'", KERNEL, "--disk", "path=disk,speed=9");
	REFUSED("given twice", KERNEL, "--disk", "path=disk,path=disk");
	REFUSED("from 1 to", KERNEL, "--cpus", "0");
	REFUSED("a size such as", KERNEL, "--memory", "size=12Q");
	REFUSED("multiple of 4K", KERNEL, "--memory", "size=4097");
}

static void test_iommu_options(void **state)
{
	(void)state;
	REFUSED("unknown kind 'magic'", KERNEL, "--iommu", "magic");
	REFUSED("on, off or legacy", KERNEL, "--iommu", "virtio,bypass=maybe");
	REFUSED("overlaps the one at 0x1000", KERNEL, "--iommu", "virtio,resv=0x1000-0x2fff,resv=0x2000-0x3fff");
	REFUSED("from 4K to 1G", KERNEL, "--iommu", "virtio,granule=3K");
	REFUSED("needs an IOMMU", KERNEL, "--iommu", "none", "--disk", "path=disk,iommu=on");
}

static void test_disks(void **state)
{
	(void)state;
	REFUSED("nothing: No such file", KERNEL, "--disk", "path=nothing");
	REFUSED("at least 512 bytes", KERNEL, "--disk", "path=short-disk");
	REFUSED("at least 512 bytes", KERNEL, "--disk", "path=disk", "--disk", "path=short-disk,iommu=on");
	REFUSED("/tmp", KERNEL, "--disk", "path=/tmp");
}

static void test_taps(void **state)
{
	(void)state;
	REFUSED("no such interface", KERNEL, "--net", "tap=tap-none");
	REFUSED("net lo: ", KERNEL, "--net", "tap=lo");
}

static void test_a_tap_for_two_cards(void **state)
{
	char option[64];

	(void)state;
	if (!tap[0])
		skip(); /* taps cannot be made here */
	snprintf(option, sizeof(option), "tap=%s", tap);
	REFUSED("given to two network cards", KERNEL, "--net", option, "--net", option);
}

static void test_duplicate_devices_and_too_many(void **state)
{
	const char *arguments[ARGUMENTS] = {KERNEL};

	(void)state;
	REFUSED("addr=4 is given to two", KERNEL, "--disk", "path=disk,addr=4", "--test-device", "edu,addr=4");
	for (unsigned i = 0; i < 31; i++) {
		arguments[2 + 2 * i] = "--test-device";
		arguments[3 + 2 * i] = "edu";
	}
	expect_nothing_left(arguments, "more devices than PCI slots", ROUNDS);
}

static void test_memory_files(void **state)
{
	(void)state;
	REFUSED("not a regular file", KERNEL, "--memory", "size=1M,file=/tmp");
	REFUSED("more than size=", KERNEL, "--memory", "size=512K,file=disk");
	REFUSED("hugetlbfs", KERNEL, "--memory", "size=2M,hugepages=on,file=text");
	REFUSED("pages", KERNEL, "--memory", "size=8T,hugepages=on");
}

static void test_no_permission_on_kvm(void **state)
{
	(void)state;
	if (geteuid() || access("/dev/kvm", F_OK) || seteuid(65534))
		skip();
	const bool open_to_all = !eaccess("/dev/kvm", R_OK | W_OK);

	if (open_to_all)
		skip();
	REFUSED("/dev/kvm cannot be used: Permission denied", KERNEL, "--memory", "size=1M");
}

static int become_root_again(void **state)
{
	(void)state;
	return getuid() ? 0 : seteuid(0);
}

/* What was made by then goes again: the control socket, memory, a VM for the measurement. */
static void test_a_kvm_that_only_emulates(void **state)
{
	char detail[128];

	(void)state;
	if (kvm_measure_speed(detail, sizeof(detail)) != KVM_SLOW)
		skip(); /* there the kernel would start */
	expect_nothing_left((const char *const[]){KERNEL, "--memory", "size=1M,file=ram", "--control", "socket", NULL},
			    "Linux cannot boot on it; run this inside the lab", SLOW_ROUNDS);
	assert_int_equal(access("ram", F_OK), -1);
	assert_int_equal(access("socket", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_iommu_options),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_taps),
		cmocka_unit_test(test_a_tap_for_two_cards),
		cmocka_unit_test(test_duplicate_devices_and_too_many),
		cmocka_unit_test(test_memory_files),
		cmocka_unit_test_teardown(test_no_permission_on_kvm, become_root_again),
		cmocka_unit_test(test_a_kvm_that_only_emulates),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
