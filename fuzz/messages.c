/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/messages.h"

#include "lib/spec/vhost_user.h"
#include "tests/support/front.h"

static const uint32_t requests[] = {
	VHU_IOTLB_MSG,        VHU_IOTLB_MSG,      VHU_IOTLB_MSG,        VHU_GET_FEATURES,       VHU_SET_FEATURES,
	VHU_SET_OWNER,        VHU_RESET_OWNER,    VHU_SET_MEM_TABLE,    VHU_SET_LOG_BASE,       VHU_SET_LOG_FD,
	VHU_SET_VRING_NUM,    VHU_SET_VRING_ADDR, VHU_SET_VRING_BASE,   VHU_GET_VRING_BASE,     VHU_SET_VRING_KICK,
	VHU_SET_VRING_CALL,   VHU_SET_VRING_ERR,  VHU_SET_VRING_ENABLE, VHU_SET_BACKEND_REQ_FD, VHU_GET_CONFIG,
	VHU_SET_CONFIG,       VHU_RESET_DEVICE,   VHU_GET_QUEUE_NUM,    VHU_GET_MAX_MEM_SLOTS,  VHU_ADD_MEM_REG,
	VHU_REM_MEM_REG,      VHU_SET_STATUS,     VHU_GET_STATUS,       VHU_NET_SET_MTU,        VHU_GET_INFLIGHT_FD,
	VHU_SET_SHARED_TABLE,
};

uint64_t messages_page(struct tape *tape, uint64_t base)
{
	const uint8_t page = tape_u8(tape);

	return page >= 0xf0 ? tape_u64(tape) : base + (uint64_t)(page % MESSAGES_PAGES) * FRONT_PAGE;
}

static uint32_t draw_iotlb(struct tape *tape, uint8_t *payload)
{
	struct vhu_iotlb iotlb = {.iova = messages_page(tape, MESSAGES_IOVA),
				  .user_address = messages_page(tape, FRONT_USER)};
	const uint8_t kind = tape_u8(tape);

	iotlb.size = kind >= 0xf0 ? tape_u64(tape) : (1ull + (kind & 7)) * FRONT_PAGE;
	iotlb.access = kind >> 3 & 3;
	iotlb.type = kind & 0x40 ? VHU_IOTLB_INVALIDATE : VHU_IOTLB_UPDATE;
	if (kind & 0x80)
		iotlb.type = tape_u8(tape);
	memcpy(payload, &iotlb, sizeof(iotlb));
	return sizeof(iotlb);
}

static struct vhu_region draw_region(struct tape *tape)
{
	struct vhu_region region = front_region();
	const uint8_t kind = tape_u8(tape);

	if (kind & 1)
		region.guest_address = messages_page(tape, FRONT_GPA);
	if (kind & 2)
		region.size = messages_page(tape, 0);
	if (kind & 4)
		region.user_address = messages_page(tape, FRONT_USER);
	if (kind & 8)
		region.mmap_offset = messages_page(tape, 0);
	return region;
}

static uint32_t draw_memory(struct tape *tape, uint8_t *payload, bool single)
{
	struct vhu_memory memory = {.count = tape_below(tape, VHU_REGIONS_MAX + 1)};
	struct vhu_single_region one = {.region = draw_region(tape)};

	if (single) {
		memcpy(payload, &one, sizeof(one));
		return sizeof(one);
	}
	memory.regions[0] = one.region;
	for (unsigned i = 1; i < memory.count; i++)
		memory.regions[i] = draw_region(tape);
	memcpy(payload, &memory, sizeof(memory));
	return 8 + 32 * memory.count;
}

static uint32_t draw_ring(struct tape *tape, uint8_t *payload, bool addresses)
{
	const uint32_t index = tape_below(tape, FRONT_QUEUES + 1);
	const uint8_t kind = tape_u8(tape);
	const struct vhu_vring_state state = {index, kind < 200 ? 1u << kind % 10 : kind};
	const struct vhu_vring_addr addr = {.index = index, .flags = state.num & 1};

	memcpy(payload, &state, sizeof(state));
	if (!addresses)
		return sizeof(state);
	memcpy(payload, &addr, sizeof(addr));
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t at = messages_page(tape, i & 1 ? FRONT_USER : MESSAGES_IOVA) + (tape_u8(tape) & ~3u);

		memcpy(payload + 8 + 8 * i, &at, sizeof(at));
	}
	return sizeof(addr);
}

/* Room for a bit of each page, or not. */
static uint32_t draw_log(struct tape *tape, uint8_t *payload)
{
	const uint8_t kind = tape_u8(tape);
	const struct vhu_log log = {kind & 0x80 ? tape_u64(tape) : 1ull << (kind & 15),
				    kind & 0x40 ? tape_u16(tape) : 0};

	memcpy(payload, &log, sizeof(log));
	return sizeof(log);
}

static uint32_t draw_config(struct tape *tape, uint8_t *payload)
{
	const uint8_t kind = tape_u8(tape);
	const struct vhu_config config = {kind & 0x80 ? tape_u32(tape) : kind & 31, tape_u8(tape), kind & 1};

	memcpy(payload, &config, sizeof(config));
	tape_copy(tape, payload + sizeof(config), 8);
	return sizeof(config) + (kind & 0x40 ? tape_u8(tape) : config.size);
}

/* Something like what the request has, or any bytes. */
uint32_t messages_payload(struct tape *tape, uint32_t request, uint8_t *payload)
{
	const uint8_t raw = tape_u8(tape);
	uint64_t features;

	if (raw >= 0xe0) {
		tape_copy(tape, payload, raw & 0x1f);
		return tape_u8(tape);
	}
	switch (request) {
	case VHU_IOTLB_MSG:
		return draw_iotlb(tape, payload);
	case VHU_SET_MEM_TABLE:
	case VHU_ADD_MEM_REG:
	case VHU_REM_MEM_REG:
		return draw_memory(tape, payload, request != VHU_SET_MEM_TABLE);
	case VHU_SET_VRING_NUM:
	case VHU_SET_VRING_BASE:
	case VHU_GET_VRING_BASE:
	case VHU_SET_VRING_ENABLE:
	case VHU_SET_VRING_ADDR:
		return draw_ring(tape, payload, request == VHU_SET_VRING_ADDR);
	case VHU_SET_LOG_BASE:
		return draw_log(tape, payload);
	case VHU_GET_CONFIG:
	case VHU_SET_CONFIG:
		return draw_config(tape, payload);
	case VHU_GET_INFLIGHT_FD:
	case VHU_SET_SHARED_TABLE:
		tape_copy(tape, payload, 24);
		return request == VHU_SET_SHARED_TABLE ? 24 : raw & 1 ? 16 : 12 + raw / 8;
	case VHU_SET_FEATURES:
		features = FRONT_PLATFORM & ~(raw & 2 ? 1ull << 33 : 0);
		features |= raw & 4 ? 1ull << VHU_F_LOG_ALL : 0;
		memcpy(payload, &features, sizeof(features));
		return sizeof(features);
	default:
		tape_copy(tape, payload, 2);
		return raw & 0x10 ? 0 : 8;
	}
}

uint32_t messages_request(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);

	return kind < 250 ? requests[kind % (sizeof(requests) / sizeof(requests[0]))] : tape_u32(tape);
}
