/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/front.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/test.h"

enum { ANSWER_MS = 10000 };

static int start(void *opaque, unsigned queue, const struct viommu_backend_ring *ring)
{
	struct front *front = opaque;

	assert_false(front->queues[queue].running);
	front->queues[queue].ring = *ring;
	front->queues[queue].running = true;
	front->queues[queue].starts++;
	front->queues[queue].next = ring->base;
	return 0;
}

static void stop(void *opaque, unsigned queue)
{
	struct front *front = opaque;

	assert_true(front->queues[queue].running);
	front->queues[queue].running = false;
	front->queues[queue].stops++;
	if (!front->queues[queue].late)
		viommu_backend_stopped(front->backend, queue, front->queues[queue].next);
}

static void retry(void *opaque)
{
	((struct front *)opaque)->retries++;
}

static void features(void *opaque, uint64_t value)
{
	((struct front *)opaque)->features = value;
}

static int config_get(void *opaque, uint32_t offset, void *buffer, uint32_t len)
{
	struct front *front = opaque;

	if (offset + len > sizeof(front->config))
		return -EINVAL;
	memcpy(buffer, front->config + offset, len);
	return 0;
}

static int config_set(void *opaque, uint32_t offset, const void *buffer, uint32_t len)
{
	struct front *front = opaque;

	if (offset + len > sizeof(front->config))
		return -EINVAL;
	memcpy(front->config + offset, buffer, len);
	return 0;
}

static void take_line(void *opaque, const char *line)
{
	struct front *front = opaque;

	snprintf(front->line, sizeof(front->line), "%s", line);
	front->lines++;
}

static const struct viommu_backend_ops ops = {
	.size = sizeof(struct viommu_backend_ops),
	.start = start,
	.stop = stop,
	.retry = retry,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.log = take_line,
};

int front_connect(struct front *front)
{
	int fds[2];

	*front = (struct front){.back_fd = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	front->fd = fds[0];
	front->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(front->memory_fd, FRONT_SIZE), 0);
	front->memory = mmap(NULL, FRONT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, front->memory_fd, 0);
	assert_ptr_not_equal(front->memory, MAP_FAILED);
	for (unsigned page = 0; page < FRONT_PAGES; page++)
		memset(front->memory + page * FRONT_PAGE, (int)page, FRONT_PAGE);
	return fds[1];
}

void front_disconnect(struct front *front)
{
	munmap(front->memory, FRONT_SIZE);
	close(front->memory_fd);
	close(front->fd);
	if (front->back_fd >= 0)
		close(front->back_fd);
}

int front_create(struct front *front, int fd, struct viommu_backend_peer *peer)
{
	struct viommu_backend_config config = {
		.size = sizeof(struct viommu_backend_config),
		.ops = &ops,
		.opaque = front,
		.features = 1ull << 33 | 1ull << 32,
		.queues = FRONT_QUEUES,
		.miss_ms = front->miss_ms,
		.deadline_ms = front->deadline_ms,
		.dirty_log = true,
		.shared_table = front->shared_table,
		.peer = peer,
	};

	return viommu_backend_create(fd, &config, &front->backend);
}

void front_open_of(struct front *front, unsigned miss_ms, struct viommu_backend_peer *peer)
{
	int fd = front_connect(front);

	front->miss_ms = miss_ms;
	assert_int_equal(front_create(front, fd, peer), 0);
}

void front_open(struct front *front, unsigned miss_ms)
{
	front_open_of(front, miss_ms, NULL);
}

void front_close(struct front *front)
{
	viommu_backend_destroy(front->backend);
	front_disconnect(front);
}

void front_serve(struct front *front)
{
	struct pollfd poll_fd = {.events = POLLIN};

	if (front->serve) {
		front->serve(front);
		return;
	}
	poll_fd.fd = viommu_backend_fd(front->backend);
	do
		front->served = viommu_backend_serve(front->backend);
	while (!front->served && poll(&poll_fd, 1, 0) == 1);
}

void front_send(struct front *front, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		const int *fds, unsigned count)
{
	const struct vhu_header header = {request, flags | VHU_VERSION, size};
	struct iovec iov[] = {{(void *)&header, sizeof(header)}, {(void *)payload, size}};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

	if (count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);

		*c = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(front->fd, &message, MSG_NOSIGNAL), sizeof(header) + size);
}

static bool hear(int fd, struct channel_message *message)
{
	ssize_t n = recv(fd, &message->header, sizeof(message->header), MSG_DONTWAIT);

	if (n < 0)
		return false;
	assert_int_equal(n, sizeof(message->header));
	assert_true(message->header.size <= CHANNEL_PAYLOAD);
	if (message->header.size)
		assert_int_equal(recv(fd, message->payload, message->header.size, 0), message->header.size);
	return true;
}

bool front_answer(struct front *front, struct channel_message *message)
{
	return hear(front->fd, message);
}

uint64_t front_ask(struct front *front, uint32_t request, const void *payload, uint32_t size, const int *fds,
		   unsigned count)
{
	struct channel_message message = {0};
	bool answered = false;

	front_send(front, request, VHU_NEED_REPLY, payload, size, fds, count);
	/* The back end pauses where it is to close more than its thread for that has done. */
	for (unsigned i = 0; !answered && i < ANSWER_MS; i++) {
		if (i)
			usleep(1000);
		front_serve(front);
		assert_int_equal(front->served, 0);
		answered = front_answer(front, &message);
	}
	assert_true(answered);
	assert_int_equal(message.header.request, request);
	assert_int_equal(message.header.flags, VHU_VERSION | VHU_REPLY);
	return message.u64;
}

bool front_hear(struct front *front, struct vhu_iotlb *iotlb)
{
	struct channel_message message = {0};

	if (!hear(front->back_fd, &message))
		return false;
	assert_int_equal(message.header.request, VHU_BACKEND_IOTLB_MSG);
	assert_int_equal(message.header.size, sizeof(*iotlb));
	*iotlb = message.iotlb;
	return true;
}

void front_reply(struct front *front, uint64_t value)
{
	const struct {
		struct vhu_header header;
		uint64_t value;
	} __attribute__((packed)) reply = {{VHU_BACKEND_IOTLB_MSG, VHU_VERSION | VHU_REPLY, sizeof(value)}, value};

	assert_int_equal(send(front->back_fd, &reply, sizeof(reply), MSG_NOSIGNAL), sizeof(reply));
}

static uint64_t say(struct front *front, uint8_t type, uint64_t iova, uint64_t user, uint64_t size, uint8_t access)
{
	const struct vhu_iotlb iotlb = {
		.iova = iova, .size = size, .user_address = user, .access = access, .type = type};

	return front_ask(front, VHU_IOTLB_MSG, &iotlb, sizeof(iotlb), NULL, 0);
}

uint64_t front_update(struct front *front, uint64_t iova, uint64_t user, uint64_t size, uint8_t access)
{
	return say(front, VHU_IOTLB_UPDATE, iova, user, size, access);
}

uint64_t front_invalidate(struct front *front, uint64_t iova, uint64_t size)
{
	return say(front, VHU_IOTLB_INVALIDATE, iova, 0, size, 0);
}

struct vhu_region front_region(void)
{
	return (struct vhu_region){FRONT_GPA, FRONT_SIZE, FRONT_USER, 0};
}

uint64_t front_memory_table(struct front *front, const struct vhu_region *regions, unsigned count)
{
	struct vhu_memory memory = {.count = count};
	int fds[VHU_REGIONS_MAX];

	for (unsigned i = 0; i < count; i++) {
		memory.regions[i] = regions[i];
		fds[i] = front->memory_fd;
	}
	return front_ask(front, VHU_SET_MEM_TABLE, &memory, (uint32_t)(8 + 32 * count), fds, count);
}

void front_setup(struct front *front, uint64_t wanted)
{
	const uint64_t known = 1ull << VHU_PROTOCOL_F_REPLY_ACK | 1ull << VHU_PROTOCOL_F_BACKEND_REQ |
			       1ull << VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS | 1ull << VHU_PROTOCOL_F_CONFIG |
			       1ull << VHU_PROTOCOL_F_STATUS | 1ull << VHU_PROTOCOL_F_LOG_SHMFD |
			       1ull << VHU_PROTOCOL_F_SHARED_TABLE;
	const uint64_t protocol = known & front_ask(front, VHU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	const struct vhu_region region = front_region();
	int fds[2];

	front_send(front, VHU_SET_PROTOCOL_FEATURES, 0, &protocol, sizeof(protocol), NULL, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(front_ask(front, VHU_SET_BACKEND_REQ_FD, NULL, 0, &fds[1], 1), 0);
	close(fds[1]);
	front->back_fd = fds[0];
	assert_int_equal(front_ask(front, VHU_SET_FEATURES, &wanted, sizeof(wanted), NULL, 0), 0);
	assert_int_equal(front_memory_table(front, &region, 1), 0);
}

int front_touch(struct front *front, uint64_t iova, unsigned access, void **host)
{
	struct viommu_section section;
	struct viommu_span span;
	int err = viommu_backend_begin(front->backend, &section);

	assert_int_equal(err, 0);
	err = viommu_dma_translate(&section, (struct viommu_iova){iova}, 1, access, &span);
	if (!err && host)
		*host = span.host;
	viommu_backend_end(front->backend, &section);
	return err;
}

void front_start_queue(struct front *front, unsigned queue, uint64_t at)
{
	const struct vhu_vring_state size = {queue, 8}, on = {queue, 1};
	const struct vhu_vring_addr addr = {.index = queue, .desc = at, .avail = at + 0x100, .used = at + 0x200};
	uint64_t index = queue;
	int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_int_equal(front_ask(front, VHU_SET_VRING_NUM, &size, sizeof(size), NULL, 0), 0);
	assert_int_equal(front_ask(front, VHU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ask(front, VHU_SET_VRING_KICK, &index, sizeof(index), &kick, 1), 0);
	assert_int_equal(front_ask(front, VHU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0), 0);
	close(kick);
}
