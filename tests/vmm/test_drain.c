/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a machine's I/O: it is noticed when it comes, and waited for no longer than it is worth. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/drain.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"

enum { DEVICES = 2, SOON_MS = 50, CALLS = 4 };

/* Each has one request in somebody's hands. */
static struct disk {
	struct pci_dev dev;
	int fd;
	_Atomic unsigned left;
	unsigned calls, cancels;
	bool stubborn; /* it ends when it is asked to */
} disks[DEVICES];

static struct registry *registry;

static unsigned disk_drain(struct pci_dev *dev, bool cancel)
{
	struct disk *disk = (struct disk *)dev;
	eventfd_t count;

	disk->calls++;
	disk->cancels += cancel;
	eventfd_read(disk->fd, &count);
	if (cancel && disk->stubborn)
		disk->left = 0;
	return disk->left;
}

static int disk_drain_fd(const struct pci_dev *dev)
{
	return ((const struct disk *)dev)->fd;
}

static const struct pci_ops ops = {.drain = disk_drain, .drain_fd = disk_drain_fd};

static int set_up(void **state)
{
	(void)state;
	memset(disks, 0, sizeof(disks));
	assert_int_equal(registry_create(&registry), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct disk *disk = &disks[i];
		const struct registered entry = {.dev = &disk->dev, .requester = (uint16_t)((i + 2) << 3)};

		disk->dev.ops = &ops;
		disk->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		disk->left = 1;
		assert_int_equal(registry_add(registry, &entry), 0);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	registry_destroy(registry);
	for (unsigned i = 0; i < DEVICES; i++)
		close(disks[i].fd);
	return 0;
}

static void *finish_one_by_one(void *opaque)
{
	for (unsigned i = DEVICES; i--;) {
		nanosleep(&(struct timespec){.tv_nsec = SOON_MS * 1000000l}, NULL);
		disks[i].left = 0;
		eventfd_write(disks[i].fd, 1);
	}
	return opaque;
}

/* Nobody looks again and again meanwhile, and nobody is asked to be quick. */
static void test_the_end_of_requests_is_noticed(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, finish_one_by_one, NULL), 0);
	assert_int_equal(drain_devices(registry), 0);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(disks[i].cancels, 0);
		assert_in_range(disks[i].calls, 1, CALLS);
	}
}

static void test_who_does_not_end_is_asked_to(void **state)
{
	(void)state;
	disks[0].left = 0;
	disks[1].stubborn = true;
	assert_int_equal(drain_devices(registry), 0);
	assert_int_equal(disks[1].cancels, 1);
}

static void test_who_never_ends_is_left_behind(void **state)
{
	(void)state;
	disks[0].left = 0;
	assert_int_equal(drain_devices(registry), -ETIMEDOUT);
	assert_true(disks[1].cancels > 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_end_of_requests_is_noticed),
		CASE(test_who_does_not_end_is_asked_to),
		CASE(test_who_never_ends_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
