/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt remapping (VT-d 5.1): a message and a table of entries give the message that a CPU gets, or a fault. No
 * state and no registers: the unit that owns these says in struct ir_table what they mean now, and reports faults.
 *
 * There is no cache of entries here. A guest that changes an entry must invalidate (VT-d 6.5.2.7), and a caller that
 * keeps the outcome of ir_remap() asks again then.
 */
#ifndef LIB_IR_H
#define LIB_IR_H

#include <viommu/irq.h>

#include "lib/spec/vtd_irq.h"

struct ir_table {
	uint64_t gpa;              /* of the first entry; a multiple of 4 KiB */
	uint32_t count;            /* entries: 2^(IRTA.S + 1), 2 to VTD_IRTE_MAX */
	bool enabled;              /* GSTS.IRES: without it everything passes */
	bool extended;             /* IRTA.EIME: destinations of 32 bits, and no compatibility format */
	bool compatibility_passes; /* GSTS.CFIS */
};

/*
 * Guest memory. An aligned read of eight bytes is one load: entries are changed while they are read. 0, or -EFAULT:
 * there is no memory.
 */
struct ir_memory {
	int (*read)(void *opaque, uint64_t gpa, void *buffer, size_t len);
	void *opaque;
};

enum ir_outcome {
	IR_REMAPPED = 0,
	IR_PASSED = 1, /* as it is */
	IR_BLOCKED = 2,
};

#define IR_NO_INDEX UINT32_MAX

struct ir_result {
	struct viommu_irq_message message; /* unless blocked */
	uint32_t index;                    /* of the entry; IR_NO_INDEX: the request names none */
	enum vtd_ir_fault fault;           /* if blocked */
	bool silent;                       /* the entry says that its faults are not to be reported (FPD) */
};

/*
 * @requester: the function that sends it, bus << 8 | devfn. Any thread; the checks come in the specification's order
 * (5.1.4.1).
 */
enum ir_outcome ir_remap(const struct ir_table *table, const struct ir_memory *memory, uint16_t requester,
			 const struct viommu_irq_message *in, struct ir_result *out);

/* One entry, copied: what it makes of a request. IR_REMAPPED or IR_BLOCKED; sets message, or fault and silent. */
enum ir_outcome ir_entry_remap(struct vtd_irte irte, bool extended, uint16_t requester, struct ir_result *out);

#endif
