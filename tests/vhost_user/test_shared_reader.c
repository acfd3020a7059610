/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader of a shared table on its own: this program links libviommu-shared-reader and nothing else of the library,
 * and the table is that of another process (table_owner.c), which comes over a socket.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <viommu/shared_reader.h>

#include "tests/support/test.h"
#include "tests/vhost_user/table_owner.h"

enum { ALARM_S = 60, WAIT_MS = 100 };

struct owner {
	pid_t pid;
	int socket;
	struct viommu_shared_view *view;
};

static void receive_files(int socket, struct viommu_shared_files *files)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec data = {files, sizeof(*files)};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fds[2];

	assert_int_equal(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), sizeof(*files));
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	assert_true(header && header->cmsg_len == CMSG_LEN(sizeof(fds)));
	memcpy(fds, CMSG_DATA(header), sizeof(fds));
	files->table_fd = fds[0];
	files->epochs_fd = fds[1];
}

static int setup(void **state)
{
	static struct owner owner;
	struct viommu_shared_files files;
	int ends[2];

	alarm(ALARM_S);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	owner.pid = fork();
	assert_true(owner.pid >= 0);
	if (!owner.pid) {
		dup2(ends[1], STDIN_FILENO);
		execl(TABLE_OWNER, TABLE_OWNER, NULL);
		_exit(127);
	}
	close(ends[1]);
	owner.socket = ends[0];
	receive_files(owner.socket, &files);
	assert_int_equal(viommu_shared_view_open(&files, &owner.view), 0);
	close(files.table_fd);
	close(files.epochs_fd);
	*state = &owner;
	return 0;
}

static int teardown(void **state)
{
	struct owner *owner = *state;
	int status;

	viommu_shared_view_close(owner->view);
	close(owner->socket);
	assert_int_equal(waitpid(owner->pid, &status, 0), owner->pid);
	assert_int_equal(status, 0);
	return 0;
}

static void order(const struct owner *owner, char command)
{
	assert_int_equal(write(owner->socket, &command, 1), 1);
}

static bool answered(const struct owner *owner, int timeout_ms)
{
	struct pollfd waiting = {owner->socket, POLLIN, 0};
	char answer;

	return poll(&waiting, 1, timeout_ms) == 1 && read(owner->socket, &answer, 1) == 1;
}

static int find(const struct owner *owner, uint64_t iova, unsigned access, struct viommu_shared_extent *extent)
{
	struct viommu_shared_reader reader;

	assert_int_equal(viommu_shared_enter(owner->view, 0, &reader), 0);
	int err = viommu_shared_find(&reader, (struct viommu_iova){iova}, access, extent);

	viommu_shared_leave(&reader);
	return err;
}

static void test_shared_reader_finds_what_another_process_has_mapped(void **state)
{
	const struct owner *owner = *state;
	struct viommu_shared_extent extent;

	assert_int_equal(viommu_shared_view_slots(owner->view), 4);
	assert_int_equal(find(owner, OWNER_FIRST + 5, VIOMMU_WRITE, &extent), 0);
	assert_int_equal(extent.first.value, OWNER_FIRST);
	assert_int_equal(extent.last.value, OWNER_FIRST + OWNER_PAGE - 1);
	assert_int_equal(extent.gpa.value, OWNER_FIRST_GPA);
	assert_int_equal(extent.access, VIOMMU_READ | VIOMMU_WRITE);
	for (uint64_t at = 0; at < OWNER_READABLE_BYTES; at += OWNER_PAGE) {
		assert_int_equal(find(owner, OWNER_READABLE + at, VIOMMU_READ, &extent), 0);
		assert_int_equal(extent.gpa.value + (OWNER_READABLE + at - extent.first.value),
				 OWNER_READABLE_GPA + at);
	}
	assert_int_equal(find(owner, OWNER_READABLE, VIOMMU_WRITE, &extent), -EACCES);
	assert_int_equal(find(owner, OWNER_READABLE + OWNER_READABLE_BYTES, VIOMMU_READ, &extent), -ENOENT);
}

static void test_shared_reader_sees_a_map_when_it_is_complete(void **state)
{
	const struct owner *owner = *state;
	struct viommu_shared_extent extent;

	assert_int_equal(find(owner, OWNER_UNMAPPED, VIOMMU_READ, &extent), -ENOENT);
	order(owner, 'm');
	assert_true(answered(owner, -1));
	assert_int_equal(find(owner, OWNER_UNMAPPED, VIOMMU_READ, &extent), 0);
	assert_int_equal(extent.gpa.value, OWNER_UNMAPPED_GPA);
}

static void test_shared_reader_inside_keeps_an_unmap_pending(void **state)
{
	const struct owner *owner = *state;
	struct viommu_shared_reader reader;
	struct viommu_shared_extent extent;

	assert_int_equal(viommu_shared_enter(owner->view, 3, &reader), 0);
	assert_int_equal(viommu_shared_find(&reader, (struct viommu_iova){OWNER_FIRST}, VIOMMU_READ, &extent), 0);
	order(owner, 'u');
	assert_false(answered(owner, WAIT_MS));
	viommu_shared_leave(&reader);
	assert_true(answered(owner, -1));
	assert_int_equal(find(owner, OWNER_FIRST, VIOMMU_READ, &extent), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared_reader_finds_what_another_process_has_mapped, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_shared_reader_sees_a_map_when_it_is_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_reader_inside_keeps_an_unmap_pending, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
