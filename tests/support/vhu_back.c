/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vhu_back.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void back_close(struct back *back)
{
	if (back->open)
		channel_fini(&back->channel);
	if (back->requests_open)
		channel_fini(&back->requests);
	for (unsigned i = 0; back->open && i < back->memory.count; i++)
		close(back->memory_fds[i]);
	back->memory.count = 0;
	back->open = back->requests_open = false;
}

static void send_reply(struct back *back, struct channel_message *reply, const void *payload, uint32_t size)
{
	reply->header.flags = VHU_REPLY;
	reply->header.size = size;
	memcpy(reply->payload, payload, size);
	channel_send(&back->channel, reply);
}

void back_reply(struct back *back, const struct channel_message *request, const void *payload, uint32_t size)
{
	struct channel_message reply = {.header = {.request = request->header.request}};

	send_reply(back, &reply, payload, size);
}

void back_reply_u64(struct back *back, const struct channel_message *request, uint64_t value)
{
	back_reply(back, request, &value, sizeof(value));
}

static void take_memory(struct back *back, struct channel_message *message)
{
	for (unsigned i = 0; i < back->memory.count; i++)
		close(back->memory_fds[i]);
	back->memory = message->memory;
	assert_true(message->memory.count <= VHU_REGIONS_MAX);
	assert_int_equal(message->fd_count, message->memory.count);
	memcpy(back->memory_fds, message->fds, sizeof(back->memory_fds));
	message->fd_count = 0;
}

static void take_iotlb(struct back *back, const struct channel_message *message)
{
	if (message->iotlb.type == VHU_IOTLB_UPDATE) {
		back->last_update = message->iotlb;
		back->updates++;
	} else {
		back->last_invalidate = message->iotlb;
		back->invalidates++;
	}
}

static void give_inflight(struct back *back, const struct channel_message *message)
{
	struct channel_message reply = {.header = {.request = VHU_GET_INFLIGHT_FD}};
	struct vhu_inflight inflight = {.mmap_size = 4096, .mmap_offset = 0x1000};

	assert_int_equal(message->fd_count, 0);
	reply.fds[reply.fd_count++] = memfd_create("inflight", MFD_CLOEXEC);
	send_reply(back, &reply, &inflight, sizeof(inflight));
	channel_close_fds(&reply);
}

/* True: answered, by a reply of its own. */
static bool take(struct back *back, struct channel_message *message)
{
	struct vhu_vring_state state = message->state;
	unsigned ring = state.index % VHU_TEST_RINGS;

	switch (message->header.request) {
	case VHU_GET_FEATURES:
		back_reply_u64(back, message, back->features);
		return true;
	case VHU_GET_PROTOCOL_FEATURES:
		back_reply_u64(back, message, back->protocol);
		return true;
	case VHU_GET_QUEUE_NUM:
		back_reply_u64(back, message, back->queues);
		return true;
	case VHU_SET_FEATURES:
		back->acked_features = message->u64;
		break;
	case VHU_SET_PROTOCOL_FEATURES:
		back->acked_protocol = message->u64;
		break;
	case VHU_SET_BACKEND_REQ_FD:
		assert_int_equal(message->fd_count, 1);
		assert_int_equal(channel_init(&back->requests, message->fds[0], NULL), 0);
		back->requests_open = true;
		message->fd_count = 0;
		break;
	case VHU_GET_CONFIG:
		memcpy(message->payload + sizeof(struct vhu_config), back->space, message->config.size);
		back_reply(back, message, message->payload, message->header.size);
		return true;
	case VHU_SET_CONFIG:
		memcpy(back->space + message->config.offset, message->payload + sizeof(struct vhu_config),
		       message->config.size);
		break;
	case VHU_SET_MEM_TABLE:
		take_memory(back, message);
		break;
	case VHU_SET_VRING_NUM:
		back->sizes[ring] = state.num;
		break;
	case VHU_SET_VRING_BASE:
		back->bases[ring] = state.num;
		break;
	case VHU_SET_VRING_ADDR:
		back->addrs[ring] = message->addr;
		break;
	case VHU_SET_VRING_KICK:
		back->kicks += message->fd_count;
		break;
	case VHU_SET_VRING_CALL:
		back->calls += message->fd_count;
		break;
	case VHU_SET_VRING_ERR:
		back->errs += message->fd_count;
		break;
	case VHU_SET_VRING_ENABLE:
		back->enabled[ring] = state.num;
		break;
	case VHU_GET_VRING_BASE:
		state.num = back->bases[ring];
		back_reply(back, message, &state, sizeof(state));
		return true;
	case VHU_NET_SET_MTU:
		back->mtu = message->u64;
		break;
	case VHU_GET_INFLIGHT_FD:
		give_inflight(back, message);
		return true;
	case VHU_SET_INFLIGHT_FD:
		assert_int_equal(message->fd_count, 1);
		back->inflight = message->inflight;
		back->inflight_given++;
		break;
	case VHU_IOTLB_MSG:
		take_iotlb(back, message);
		break;
	}
	return false;
}

static void answer(struct back *back, struct channel_message *message)
{
	if (back->hook && back->hook(back, message))
		return;
	if (!take(back, message) && message->header.flags & VHU_NEED_REPLY)
		back_reply_u64(back, message, 0);
}

bool back_serve(struct back *back)
{
	struct channel_message message;
	bool any = false;

	while (back->open && !channel_receive(&back->channel, &message)) {
		if (back->seen_count < VHU_SEEN)
			back->seen[back->seen_count++] = message.header.request;
		answer(back, &message);
		channel_close_fds(&message);
		any = true;
	}
	return any;
}

void back_request(struct back *back, uint32_t request, uint32_t flags, const void *payload, uint32_t size)
{
	struct channel_message message = {.header = {.request = request, .flags = flags, .size = size}};

	if (size)
		memcpy(message.payload, payload, size);
	channel_send(&back->requests, &message);
}

bool back_request_answer(struct back *back, uint64_t *status)
{
	struct channel_message message;

	if (channel_receive(&back->requests, &message))
		return false;
	assert_int_equal(message.header.size, sizeof(message.u64));
	assert_true(message.header.flags & VHU_REPLY);
	*status = message.u64;
	return true;
}

void back_iotlb(struct back *back, unsigned type, uint64_t iova, unsigned access, uint32_t flags)
{
	const struct vhu_iotlb iotlb = {.iova = iova, .access = (uint8_t)access, .type = (uint8_t)type};

	back_request(back, VHU_BACKEND_IOTLB_MSG, flags, &iotlb, sizeof(iotlb));
}

unsigned back_saw(const struct back *back, uint32_t request)
{
	unsigned times = 0;

	for (unsigned i = 0; i < back->seen_count; i++)
		times += back->seen[i] == request;
	return times;
}
