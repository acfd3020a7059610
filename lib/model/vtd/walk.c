/* SPDX-License-Identifier: BSD-2-Clause */
/* A miss: the endpoint's context, then its page tables (lib/fmt), or the reason why not. */
#include <errno.h>
#include <stdlib.h>

#include "lib/fmt/vtd_fs.h"
#include "lib/fmt/vtd_ss.h"
#include "lib/model/vtd/tables.h"

/* 3.14: requests to these addresses are interrupts, never translated; and nothing may be translated to them. */
static const struct range interrupt_range = {0xfee00000, 0xfeefffff};

static unsigned load(const struct vtd_endpoint *endpoint, const struct memory *memory, struct vtd_context *context)
{
	const struct vtd_caps *caps = &endpoint->caps;
	/* Acquire: partner of the release in command.c; what the table says is read after it. */
	uint64_t rtaddr = atomic_load_explicit(caps->root, memory_order_acquire);
	struct vtd_root root = {rtaddr & VTD_RTADDR_TABLE, (unsigned)vtd_field(rtaddr, 11, 10)};

	if (root.ttm == VTD_TTM_IS_LEGACY)
		return vtd_context_load(caps, memory, root, endpoint->source, context);
	if (root.ttm == VTD_TTM_IS_SCALABLE && caps->ecap & VTD_ECAP_SMTS)
		return vtd_context_load_scalable(caps, memory, root, endpoint->source, context);
	*context = (struct vtd_context){.scalable = true};
	return VTD_FAULT_S_ROOT_ADDRESS;
}

/*
 * Loads under the lock: an invalidation comes before that, and the load sees it, or after that, and drops what was
 * loaded.
 */
static unsigned get_context(struct vtd_endpoint *endpoint, const struct memory *memory, struct vtd_context *context)
{
	unsigned reason = 0;

	spin_take(&endpoint->lock);
	if (endpoint->context.valid) {
		*context = endpoint->context;
	} else {
		reason = load(endpoint, memory, context);
		if (!reason) {
			context->valid = true;
			endpoint->context = *context;
		}
	}
	spin_drop(&endpoint->lock);
	return reason;
}

static bool find_memory(struct pt_memory *pt, uint64_t gpa)
{
	const struct memory_region *region = memory_find(pt->opaque, gpa);

	if (!region)
		return false;
	pt->first = region->gpa.first;
	pt->last = region->gpa.last;
	pt->host = region->host;
	return true;
}

static void take_leaf(const struct pt_leaf *leaf, struct walk_result *result)
{
	result->iova = leaf->iova;
	result->gpa = leaf->gpa;
	result->access = leaf->access;
}

static unsigned legacy_reason(enum pt_end end, unsigned access)
{
	switch (end) {
	case PT_BEYOND_WIDTH:
		return VTD_FAULT_BEYOND_WIDTH;
	case PT_TOP_UNREADABLE:
		return VTD_FAULT_CONTEXT_INVALID;
	case PT_UNREADABLE:
		return VTD_FAULT_ENTRY_ACCESS;
	case PT_RESERVED:
		return VTD_FAULT_ENTRY_RESERVED;
	case PT_NO_READ:
		return VTD_FAULT_NO_READ;
	case PT_NO_WRITE:
		return VTD_FAULT_NO_WRITE;
	default: /* not present: the access decides */
		return access & VIOMMU_WRITE ? VTD_FAULT_NO_WRITE : VTD_FAULT_NO_READ;
	}
}

static unsigned second_stage_reason(enum pt_end end)
{
	switch (end) {
	case PT_BEYOND_WIDTH:
		return VTD_FAULT_SS_BEYOND_WIDTH;
	case PT_TOP_UNREADABLE:
		return VTD_FAULT_SS_TOP;
	case PT_UNREADABLE:
		return VTD_FAULT_SS_ACCESS;
	case PT_RESERVED:
		return VTD_FAULT_SS_RESERVED;
	default:
		return VTD_FAULT_SS_PERMISSION;
	}
}

static unsigned first_stage_reason(enum pt_end end)
{
	switch (end) {
	case PT_NOT_CANONICAL:
		return VTD_FAULT_NOT_CANONICAL;
	case PT_TOP_UNREADABLE:
		return VTD_FAULT_FS_TOP;
	case PT_UNREADABLE:
		return VTD_FAULT_FS_ACCESS;
	case PT_RESERVED:
		return VTD_FAULT_FS_RESERVED;
	case PT_NOT_USER:
		return VTD_FAULT_NOT_USER;
	case PT_NO_READ:
		return VTD_FAULT_S_NO_READ;
	case PT_NO_WRITE:
		return VTD_FAULT_S_NO_WRITE;
	case PT_BUSY:
		return VTD_FAULT_FS_MARK;
	default:
		return VTD_FAULT_FS_NOT_PRESENT;
	}
}

/* The last address up to which, from this one on, nothing is mapped; 0: not known. */
static uint64_t hole_of(const struct pt_space *space, enum pt_end end, const struct pt_leaf *leaf, uint64_t iova)
{
	switch (end) {
	case PT_NOT_PRESENT:
		return iova | ((1ull << (TABLE_PAGE_SHIFT + TABLE_BITS * (leaf->level - 1))) - 1);
	case PT_BEYOND_WIDTH:
	case PT_TOP_UNREADABLE:
		return UINT64_MAX;
	case PT_NOT_CANONICAL:
		return (UINT64_MAX << (space->width - 1)) - 1;
	default:
		return 0;
	}
}

/* The reason as an operator's line says it. */
static enum viommu_fault_reason plain_reason(enum pt_end end)
{
	return end == PT_NO_READ || end == PT_NO_WRITE ? VIOMMU_FAULT_PERMISSION : VIOMMU_FAULT_NOT_MAPPED;
}

static unsigned walk_second_stage(const struct vtd_caps *caps, const struct vtd_context *context,
				  struct pt_memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	uint64_t cap = caps->cap, ecap = caps->ecap;
	struct vtd_ss_caps offered = {
		.host_width = caps->host_bits,
		.guest_width = vtd_cap_mgaw(cap),
		.pages_2m = cap & VTD_CAP_SLLPS_2M,
		.pages_1g = cap & VTD_CAP_SLLPS_1G,
		.snoop_control = ecap & VTD_ECAP_SC || context->scalable,
		.device_tlb = ecap & VTD_ECAP_DT,
	};
	struct pt_space space;
	struct pt_leaf leaf;

	vtd_ss_init(&space, context->table, context->levels, &offered);
	enum pt_end end = vtd_ss_walk(&space, memory, iova, access, NULL, &leaf);

	if (end) {
		result->reason = plain_reason(end);
		result->hole = hole_of(&space, end, &leaf, iova);
		return context->scalable ? second_stage_reason(end) : legacy_reason(end, access);
	}
	take_leaf(&leaf, result);
	return 0;
}

/* Takes XD without NXE too: it changes nothing for reads and writes, and Linux up to 6.1 sets it so. */
static unsigned walk_first_stage(const struct vtd_caps *caps, const struct vtd_context *context,
				 struct pt_memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	struct vtd_fs_caps offered = {
		.host_width = caps->host_bits,
		.pages_1g = caps->cap & VTD_CAP_FL1GP,
		.no_execute = true,
	};
	struct pt_space space;
	struct pt_leaf leaf;

	vtd_fs_init(&space, context->table, context->levels, &offered);
	enum pt_end end = vtd_fs_walk(&space, memory, iova, access, NULL, &leaf);

	if (end) {
		result->reason = plain_reason(end);
		result->hole = hole_of(&space, end, &leaf, iova);
		return first_stage_reason(end);
	}
	take_leaf(&leaf, result);
	return 0;
}

/* One leaf, as wide as a slot of the core's table can be within the unit's width. */
static unsigned pass_through(const struct vtd_caps *caps, const struct vtd_context *context, uint64_t iova,
			     struct walk_result *result)
{
	unsigned width = vtd_cap_mgaw(caps->cap);
	unsigned bits = TABLE_PAGE_SHIFT + (width - TABLE_PAGE_SHIFT) / TABLE_BITS * TABLE_BITS;
	uint64_t mask = (1ull << bits) - 1;

	if (iova >> width) {
		result->reason = VIOMMU_FAULT_NOT_MAPPED;
		result->hole = UINT64_MAX;
		return context->scalable ? VTD_FAULT_S_BEYOND_WIDTH : VTD_FAULT_BEYOND_WIDTH;
	}
	result->iova = (struct range){iova & ~mask, iova | mask};
	result->gpa = result->iova.first;
	result->access = VIOMMU_READ | VIOMMU_WRITE;
	return 0;
}

/* Cut a leaf down until no interrupt lies in it, neither before nor after translation. The page itself has none. */
static void spare_interrupts(uint64_t iova, struct walk_result *result)
{
	for (;;) {
		uint64_t size = result->iova.last - result->iova.first, mask = size >> TABLE_BITS, first = iova & ~mask;
		struct range target = {result->gpa, result->gpa + size};

		if (!range_overlaps(result->iova, interrupt_range) && !range_overlaps(target, interrupt_range))
			return;
		result->gpa += first - result->iova.first;
		result->iova = (struct range){first, first | mask};
	}
}

static unsigned walk_translate(const struct vtd_caps *caps, const struct vtd_context *context,
			       const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	struct pt_memory pt;

	pt_memory_init(&pt, find_memory, memory);
	switch (context->kind) {
	case VTD_SECOND_STAGE:
		return walk_second_stage(caps, context, &pt, iova, access, result);
	case VTD_FIRST_STAGE:
		return walk_first_stage(caps, context, &pt, iova, access, result);
	case VTD_PASS_THROUGH:
		return pass_through(caps, context, iova, result);
	}
	return VTD_FAULT_CONTEXT_INVALID;
}

static unsigned walk_find_leaf(struct vtd_endpoint *endpoint, const struct memory *memory, uint64_t iova,
			       unsigned access, struct vtd_context *context, struct walk_result *result)
{
	unsigned reason = get_context(endpoint, memory, context);

	if (reason) {
		result->hole = UINT64_MAX;
		return reason;
	}
	result->domain_id = context->did;
	reason = walk_translate(&endpoint->caps, context, memory, iova, access, result);
	if (reason)
		return reason;
	if (range_has(interrupt_range, result->gpa + (iova - result->iova.first)))
		return context->scalable ? VTD_FAULT_S_INTERRUPT_RANGE : VTD_FAULT_INTERRUPT_RANGE;
	spare_interrupts(iova, result);
	return 0;
}

/* An access to the interrupt range that the device did not make an interrupt of has no fault of its own. */
static int walk_leaf(void *opaque, const struct memory *memory, uint64_t iova, unsigned access,
		     struct walk_result *result)
{
	struct vtd_context context;

	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (range_has(interrupt_range, iova)) {
		result->hole = interrupt_range.last;
		return -EFAULT;
	}
	result->detail = walk_find_leaf(opaque, memory, iova, access, &context, result);
	if (!result->detail)
		return 0;
	result->silent = context.silent && vtd_fault_qualified(result->detail);
	return -EFAULT;
}

/*
 * The device cannot have a mapping that the guest has made, because its mirror has no room: for the guest it is as if
 * the mapping were not there.
 */
static uint32_t walk_refusal(void *opaque, unsigned access)
{
	struct vtd_endpoint *endpoint = opaque;

	spin_take(&endpoint->lock);
	const struct vtd_context context = endpoint->context;

	spin_drop(&endpoint->lock);
	if (!context.scalable)
		return access & VIOMMU_WRITE ? VTD_FAULT_NO_WRITE : VTD_FAULT_NO_READ;
	return context.kind == VTD_FIRST_STAGE ? VTD_FAULT_FS_NOT_PRESENT : VTD_FAULT_SS_PERMISSION;
}

const struct walk_ops vtd_walk_ops = {.walk = walk_leaf, .gone = free};
const struct walk_ops vtd_walk_told_ops = {.walk = walk_leaf, .gone = free, .refusal = walk_refusal, .told = true};
