/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Has a context, an endpoint with a few mappings, and its shared table, which it sends over its standard input, a
 * socket, for test_shared_reader.c. Then it does what each byte from there says, and answers with a byte when that is
 * complete:
 *	m: map the page at UNMAPPED	u: unmap the page at FIRST
 * It ends when the socket is closed; status 1: something failed.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "tests/vhost_user/table_owner.h"

enum { SLOTS = 4, POLL_US = 1000, DEADLINE_MS = 600000 };

static struct viommu *v;
static struct viommu_domain *domain;
static struct viommu_endpoint *endpoint;
static struct viommu_inval *inval;
static struct viommu_shared *shared;

static int map(uint64_t iova, uint64_t len, uint64_t gpa, unsigned access)
{
	return viommu_map(domain, (struct viommu_iova){iova}, (struct viommu_iova){iova + (len - 1)},
			  (struct viommu_gpa){gpa}, access);
}

/* Begun by now: wait until nobody stands in its way. */
static int complete(void)
{
	int err;

	viommu_inval_begin(inval);
	while ((err = viommu_inval_poll(inval)) == -EAGAIN) {
		usleep(POLL_US);
		viommu_shared_poll(shared);
	}
	return err;
}

static int make(void)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = DEADLINE_MS};
	const struct viommu_shared_config shared_config = {.size = sizeof(struct viommu_shared_config), .slots = SLOTS};
	void *memory = mmap(NULL, OWNER_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int err = memory == MAP_FAILED ? -errno : viommu_create(&config, &v);

	if (!err)
		err = viommu_mem_add(v, (struct viommu_gpa){0}, OWNER_MEMORY, memory, -1, 0);
	if (!err)
		err = viommu_domain_create(v, 1, &domain);
	if (!err)
		err = viommu_endpoint_add(v, 1, "test", &endpoint);
	if (!err)
		err = viommu_inval_create(v, &inval);
	if (!err)
		err = viommu_attach(endpoint, domain, inval);
	if (!err)
		err = viommu_shared_create(endpoint, &shared_config, &shared);
	if (!err)
		err = complete();
	if (!err)
		err = map(OWNER_FIRST, OWNER_PAGE, OWNER_FIRST_GPA, VIOMMU_READ | VIOMMU_WRITE);
	if (!err)
		err = map(OWNER_READABLE, OWNER_READABLE_BYTES, OWNER_READABLE_GPA, VIOMMU_READ);
	return err;
}

static int send_files(void)
{
	struct viommu_shared_files files;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = {.room = {0}};
	struct iovec data = {&files, sizeof(files)};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	viommu_shared_files_get(shared, &files);
	const int fds[] = {files.table_fd, files.epochs_fd};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header =
		(struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fds)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	return sendmsg(STDIN_FILENO, &message, 0) == sizeof(files) ? 0 : -EIO;
}

static int perform(char command)
{
	if (command == 'm')
		return map(OWNER_UNMAPPED, OWNER_PAGE, OWNER_UNMAPPED_GPA, VIOMMU_READ);
	int err = viommu_unmap(domain, (struct viommu_iova){OWNER_FIRST},
			       (struct viommu_iova){OWNER_FIRST + OWNER_PAGE - 1}, inval, NULL);

	return err ? err : complete();
}

int main(void)
{
	int err = make();
	char command;

	if (!err)
		err = send_files();
	while (!err && read(STDIN_FILENO, &command, 1) == 1) {
		err = perform(command);
		if (!err && write(STDIN_FILENO, &command, 1) != 1)
			err = -EIO;
	}
	return err ? 1 : 0;
}
