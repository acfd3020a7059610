/* SPDX-License-Identifier: BSD-2-Clause */
/* From an interrupt request to its entry, and what comes before (VT-d 5.1.2 to 5.1.4). */
#include <errno.h>

#include "lib/ir/ir.h"
#include "lib/util/le.h"

/* How often an entry is read again that changes under our eyes. */
enum { READ_TRIES = 4 };

bool viommu_irq_is_request(uint64_t address, size_t len)
{
	return len == 4 && !(address & 3) && (address & ~0xfffffull) == VTD_MSI_WINDOW;
}

static enum ir_outcome block(enum vtd_ir_fault fault, struct ir_result *out)
{
	out->fault = fault;
	return IR_BLOCKED;
}

/* Compatibility format: with 32-bit destinations there is none. */
static enum ir_outcome pass(const struct ir_table *table, const struct viommu_irq_message *in, struct ir_result *out)
{
	if (table->enabled && (table->extended || !table->compatibility_passes))
		return block(VTD_IR_FAULT_COMPATIBILITY, out);
	out->message = *in;
	return IR_PASSED;
}

static int read_half(const struct ir_memory *memory, uint64_t gpa, uint64_t *half)
{
	uint8_t bytes[8];
	const int err = memory->read(memory->opaque, gpa, bytes, sizeof(bytes));

	*half = err ? 0 : le64_get(bytes);
	return err;
}

/*
 * An entry as it stood in memory at one instant. Hardware reads 16 bytes at once; guests write two halves, the one with
 * the present bit first or last. The low half is read before and after the high one: where it is the same both times
 * (and the guest did not put it back on purpose, which gives it nothing that it could not write at once) the three
 * belong together. An entry that never stands still cannot be read.
 */
static int read_entry(const struct ir_memory *memory, uint64_t gpa, struct vtd_irte *out)
{
	uint64_t before = 0;
	int err = read_half(memory, gpa, &before);

	for (unsigned tries = 0; !err && tries < READ_TRIES; tries++) {
		err = read_half(memory, gpa + VTD_IRTE_HIGH, &out->high);
		if (!err)
			err = read_half(memory, gpa, &out->low);
		if (err || out->low == before)
			return err;
		before = out->low;
	}
	return err ? err : -EAGAIN;
}

static enum ir_outcome remap(const struct ir_table *table, const struct ir_memory *memory, uint16_t requester,
			     struct ir_result *out)
{
	struct vtd_irte irte;

	if (out->index >= table->count)
		return block(VTD_IR_FAULT_INDEX, out);
	if (read_entry(memory, table->gpa + (uint64_t)out->index * VTD_IRTE_SIZE, &irte))
		return block(VTD_IR_FAULT_UNREADABLE, out);
	return ir_entry_remap(irte, table->extended, requester, out);
}

enum ir_outcome ir_remap(const struct ir_table *table, const struct ir_memory *memory, uint16_t requester,
			 const struct viommu_irq_message *in, struct ir_result *out)
{
	*out = (struct ir_result){.index = IR_NO_INDEX};
	if (!table->enabled)
		return pass(table, in, out);
	if (vtd_msi_upper(in->address) || (in->address & VTD_MSI_WINDOW_MASK) != VTD_MSI_WINDOW)
		return block(VTD_IR_FAULT_REQUEST_RESERVED, out);
	if (!vtd_msi_remappable(in->address))
		return pass(table, in, out);

	/* The sum may lie beyond 16 bits; no table reaches there. */
	out->index = vtd_msi_handle(in->address);
	if (vtd_msi_subhandle_valid(in->address)) {
		if (in->data & VTD_MSI_DATA_RESERVED)
			return block(VTD_IR_FAULT_REQUEST_RESERVED, out);
		out->index += vtd_msi_subhandle(in->data);
	}
	return remap(table, memory, requester, out);
}
