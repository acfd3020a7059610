/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-iommu layouts. Virtual I/O Device (VIRTIO) Version 1.2, section 5.13; byte offsets, little-endian fields.
 */
#ifndef LIB_SPEC_VIRTIO_IOMMU_H
#define LIB_SPEC_VIRTIO_IOMMU_H

/* 5.13.3 Feature bits (numbers) */
enum {
	VIO_F_INPUT_RANGE = 0,
	VIO_F_DOMAIN_RANGE = 1,
	VIO_F_MAP_UNMAP = 2,
	VIO_F_BYPASS = 3, /* BYPASS_CONFIG supersedes it; never both */
	VIO_F_PROBE = 4,
	VIO_F_MMIO = 5,
	VIO_F_BYPASS_CONFIG = 6,
};

/* 5.13.4 Device configuration layout */
enum {
	VIO_CONFIG_PAGE_SIZE_MASK = 0, /* u64 */
	VIO_CONFIG_INPUT_START = 8,    /* u64 */
	VIO_CONFIG_INPUT_END = 16,     /* u64, inclusive */
	VIO_CONFIG_DOMAIN_START = 24,  /* u32 */
	VIO_CONFIG_DOMAIN_END = 28,    /* u32, inclusive */
	VIO_CONFIG_PROBE_SIZE = 32,    /* u32 */
	VIO_CONFIG_BYPASS = 36,        /* u8, then three reserved */
	VIO_CONFIG_SIZE = 40,
};

/* 5.13.6 Device operations: request head {type, reserved[3]}, tail {status, reserved[3]} */
enum { VIO_HEAD_SIZE = 4, VIO_TAIL_SIZE = 4 };

enum {
	VIO_T_ATTACH = 1,
	VIO_T_DETACH = 2,
	VIO_T_MAP = 3,
	VIO_T_UNMAP = 4,
	VIO_T_PROBE = 5,
};

enum vio_status {
	VIO_S_OK = 0,
	VIO_S_IOERR = 1,
	VIO_S_UNSUPP = 2,
	VIO_S_DEVERR = 3,
	VIO_S_INVAL = 4,
	VIO_S_RANGE = 5,
	VIO_S_NOENT = 6,
	VIO_S_FAULT = 7,
	VIO_S_NOMEM = 8,
};

/* Offsets in the readable part of each request, head included; _SIZE is that part's length. */

/* 5.13.6.3 ATTACH */
enum {
	VIO_ATTACH_DOMAIN = 4,
	VIO_ATTACH_ENDPOINT = 8,
	VIO_ATTACH_FLAGS = 12,
	VIO_ATTACH_RESERVED = 16,
	VIO_ATTACH_SIZE = 20,
	VIO_ATTACH_F_BYPASS = 1 << 0,
};

/* 5.13.6.4 DETACH; the eight reserved bytes are ignored */
enum { VIO_DETACH_DOMAIN = 4, VIO_DETACH_ENDPOINT = 8, VIO_DETACH_SIZE = 20 };

/* 5.13.6.5 MAP; no padding, the 64-bit fields are at odd places */
enum {
	VIO_MAP_DOMAIN = 4,
	VIO_MAP_VIRT_START = 8,
	VIO_MAP_VIRT_END = 16, /* inclusive */
	VIO_MAP_PHYS_START = 24,
	VIO_MAP_FLAGS = 32,
	VIO_MAP_SIZE = 36,
	VIO_MAP_F_READ = 1 << 0,
	VIO_MAP_F_WRITE = 1 << 1,
	VIO_MAP_F_MMIO = 1 << 2,
};

/* 5.13.6.6 UNMAP */
enum {
	VIO_UNMAP_DOMAIN = 4,
	VIO_UNMAP_VIRT_START = 8,
	VIO_UNMAP_VIRT_END = 16, /* inclusive */
	VIO_UNMAP_RESERVED = 24,
	VIO_UNMAP_SIZE = 28,
};

/* 5.13.6.7 PROBE; 64 reserved bytes follow the endpoint */
enum { VIO_PROBE_ENDPOINT = 4, VIO_PROBE_SIZE = 72 };

/* 5.13.6.8 PROBE properties: {type u16, length u16 of what follows} */
enum { VIO_PROPERTY_TYPE = 0, VIO_PROPERTY_LENGTH = 2, VIO_PROPERTY_HEAD = 4, VIO_PROPERTY_T_RESV_MEM = 1 };

/* 5.13.6.8.1 RESV_MEM, offsets from the property's start */
enum {
	VIO_RESV_SUBTYPE = 4, /* u8, then three reserved */
	VIO_RESV_START = 8,
	VIO_RESV_END = 16, /* inclusive */
	VIO_RESV_SIZE = 24,
	VIO_RESV_T_RESERVED = 0,
	VIO_RESV_T_MSI = 1,
};

/* 5.13.6.9 Fault reporting */
enum {
	VIO_FAULT_REASON = 0, /* u8, then three reserved */
	VIO_FAULT_FLAGS = 4,
	VIO_FAULT_ENDPOINT = 8, /* then u32 reserved */
	VIO_FAULT_ADDRESS = 16,
	VIO_FAULT_SIZE = 24,
	VIO_FAULT_R_UNKNOWN = 0,
	VIO_FAULT_R_DOMAIN = 1,
	VIO_FAULT_R_MAPPING = 2,
	VIO_FAULT_F_READ = 1 << 0,
	VIO_FAULT_F_WRITE = 1 << 1,
	VIO_FAULT_F_ADDRESS = 1 << 8,
};

#endif
