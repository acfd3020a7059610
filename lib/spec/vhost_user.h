/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost-user messages (QEMU's docs/interop/vhost-user.rst, as of QEMU 10.0), in the byte order of the machine. A
 * message is a header and `size` bytes of payload; file descriptors come with it. Section names are those of that
 * document.
 *
 * Absent: crypto sessions, postcopy, GPU, Xen, shared objects, device state.
 */
#ifndef LIB_SPEC_VHOST_USER_H
#define LIB_SPEC_VHOST_USER_H

#include <assert.h>
#include <stdint.h>

/* "Header" */
struct vhu_header {
	uint32_t request, flags, size;
};

enum {
	VHU_VERSION = 1, /* flags 1:0 */
	VHU_VERSION_MASK = 3,
	VHU_REPLY = 1 << 2,
	VHU_NEED_REPLY = 1 << 3,
};

/* Feature bits (numbers) of the protocol's: there are protocol features; what is written is to be logged. */
enum { VHU_F_PROTOCOL_FEATURES = 30, VHU_F_LOG_ALL = 26 };

/* "Protocol features", numbers */
enum {
	VHU_PROTOCOL_F_MQ = 0,
	VHU_PROTOCOL_F_LOG_SHMFD = 1,
	VHU_PROTOCOL_F_RARP = 2,
	VHU_PROTOCOL_F_REPLY_ACK = 3,
	VHU_PROTOCOL_F_MTU = 4,
	VHU_PROTOCOL_F_BACKEND_REQ = 5,
	VHU_PROTOCOL_F_CONFIG = 9,
	VHU_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHU_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHU_PROTOCOL_F_RESET_DEVICE = 13,
	VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHU_PROTOCOL_F_STATUS = 16,
	VHU_PROTOCOL_F_SHARED_TABLE = 56, /* ours: docs/SHARED-TABLE.md */
};

/* "Front-end message types" */
enum {
	VHU_GET_FEATURES = 1,
	VHU_SET_FEATURES = 2,
	VHU_SET_OWNER = 3,
	VHU_RESET_OWNER = 4,
	VHU_SET_MEM_TABLE = 5,
	VHU_SET_LOG_BASE = 6,
	VHU_SET_LOG_FD = 7,
	VHU_SET_VRING_NUM = 8,
	VHU_SET_VRING_ADDR = 9,
	VHU_SET_VRING_BASE = 10,
	VHU_GET_VRING_BASE = 11,
	VHU_SET_VRING_KICK = 12,
	VHU_SET_VRING_CALL = 13,
	VHU_SET_VRING_ERR = 14,
	VHU_GET_PROTOCOL_FEATURES = 15,
	VHU_SET_PROTOCOL_FEATURES = 16,
	VHU_GET_QUEUE_NUM = 17,
	VHU_SET_VRING_ENABLE = 18,
	VHU_SEND_RARP = 19,
	VHU_NET_SET_MTU = 20,
	VHU_SET_BACKEND_REQ_FD = 21,
	VHU_IOTLB_MSG = 22,
	VHU_GET_CONFIG = 24,
	VHU_SET_CONFIG = 25,
	VHU_GET_INFLIGHT_FD = 31,
	VHU_SET_INFLIGHT_FD = 32,
	VHU_RESET_DEVICE = 34,
	VHU_GET_MAX_MEM_SLOTS = 36,
	VHU_ADD_MEM_REG = 37,
	VHU_REM_MEM_REG = 38,
	VHU_SET_STATUS = 39,
	VHU_GET_STATUS = 40,
	VHU_SET_SHARED_TABLE = 0x76690001, /* ours: docs/SHARED-TABLE.md */
};

/* "Back-end message types" */
enum {
	VHU_BACKEND_IOTLB_MSG = 1,
	VHU_BACKEND_CONFIG_CHANGE_MSG = 2,
};

/* "A vring state description" */
struct vhu_vring_state {
	uint32_t index, num;
};

/* "A vring address description"; with an IOMMU all but `log` are IOVAs. */
struct vhu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

/* SET_VRING_KICK and its like: a u64 with the queue's index, and this bit where no descriptor comes with it. */
enum { VHU_VRING_INDEX_MASK = 0xff, VHU_VRING_NO_FD = 1 << 8 };

/*
 * "Memory region description"; user_address is one of the front end's, and means nothing but a number to the back end.
 */
struct vhu_region {
	uint64_t guest_address, size, user_address, mmap_offset;
};

enum { VHU_REGIONS_MAX = 8 };

/* "Multiple memory regions description" */
struct vhu_memory {
	uint32_t count, padding;
	struct vhu_region regions[VHU_REGIONS_MAX];
};

/* "Single memory region description" */
struct vhu_single_region {
	uint64_t padding;
	struct vhu_region region;
};

/* "An IOTLB message": that of the kernel (struct vhost_iotlb_msg), whose enumerators serve for access and type. */
struct vhu_iotlb {
	uint64_t iova, size, user_address;
	uint8_t access, type;
	uint8_t padding[6];
};

enum { VHU_ACCESS_RO = 1, VHU_ACCESS_WO = 2, VHU_ACCESS_RW = 3 };
enum { VHU_IOTLB_MISS = 1, VHU_IOTLB_UPDATE = 2, VHU_IOTLB_INVALIDATE = 3, VHU_IOTLB_ACCESS_FAIL = 4 };

/* "Virtio device config space"; `size` bytes follow. */
struct vhu_config {
	uint32_t offset, size, flags;
};

enum { VHU_CONFIG_MAX = 256 };

/* "Log description": a bit for each 4 KiB of guest-physical space, from `mmap_offset` in the file on. */
struct vhu_log {
	uint64_t mmap_size, mmap_offset;
};

enum { VHU_LOG_PAGE = 4096 };

/* "Inflight description" */
struct vhu_inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t queues, queue_size;
};

/* VHU_SET_SHARED_TABLE, ours: with two descriptors, table and epochs; all 0 and none: give it back. */
struct vhu_shared_table {
	uint64_t table_bytes, epochs_bytes;
	uint32_t slots, padding;
};

/* Bytes of a split ring's three parts, with room for the event fields: virtio 1.2, section 2.7. */
static inline uint64_t vhu_desc_bytes(uint64_t size)
{
	return 16 * size;
}

static inline uint64_t vhu_avail_bytes(uint64_t size)
{
	return 6 + 2 * size;
}

static inline uint64_t vhu_used_bytes(uint64_t size)
{
	return 6 + 8 * size;
}

static_assert(sizeof(struct vhu_header) == 12, "header");
static_assert(sizeof(struct vhu_vring_addr) == 40, "vring address");
static_assert(sizeof(struct vhu_memory) == 8 + 32 * VHU_REGIONS_MAX, "memory table");
static_assert(sizeof(struct vhu_single_region) == 40, "single region");
static_assert(sizeof(struct vhu_iotlb) == 32, "IOTLB message");
static_assert(sizeof(struct vhu_config) == 12, "configuration");
static_assert(sizeof(struct vhu_shared_table) == 24, "shared table");

#endif
