/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a VT-d unit reports: fault records and their overflow (7.2.1), the fault event (7.3), and errors of the
 * invalidation queue (6.5.2). As many edu devices as there are records and one more, from slot 2 on, none of which has
 * a context entry.
 */
#include "dma.h"
#include "interrupt.h"
#include "payload.h"
#include "vtd.h"

enum { BY_FAULT = 0, FAULT_BITS = FSTS_PFO | FSTS_PPF };

static void fault_by(unsigned slot)
{
	dma_open(slot); /* whose first access is a read from memory */
}

static unsigned status(void)
{
	return vtd_get(VTD_FSTS) & FAULT_BITS;
}

static bool record_is(unsigned index, unsigned slot)
{
	return fault_at(index % fault_records()).source == slot << 3;
}

static void check_event(void)
{
	vtd_put(VTD_FEDATA, MSI_DATA(BY_FAULT));
	vtd_put(VTD_FEADDR, MSI_ADDRESS);
	fault_by(VTD_SLOT);
	check_equal("a fault: PPF", status(), FSTS_PPF);
	check_equal("its event is masked: pending", vtd_get(VTD_FECTL), EVENT_MASKED | EVENT_PENDING);
	check_equal("and does not come", interrupts[BY_FAULT], 0);
	vtd_put(VTD_FECTL, 0);
	check("unmasked: it comes", wait_interrupts(BY_FAULT, 1));
	check_equal("and is pending no more", vtd_get(VTD_FECTL), 0);
	fault_by(VTD_SLOT + 1);
	check_equal("while PPF is set there is no second one", interrupts[BY_FAULT], 1);
}

/* Records 0 and 1 are there. */
static void check_records(void)
{
	check_equal("the first record is named", fault_first(), 0);
	check("the first fault's record", record_is(0, VTD_SLOT));
	check("the second fault's record", record_is(1, VTD_SLOT + 1));
	fault_by(VTD_SLOT);
	check_equal("a device that goes on has one record", fault_at(2).reason, 0);
	fault_clear(0);
	check_equal("one of two taken: PPF stays", status(), FSTS_PPF);
	check_equal("and FRI says where the first one was", fault_first(), 0);
	check_equal("F is cleared by writing it", fault_at(0).reason, 0);
	fault_clear(1);
	check_equal("both taken: PPF goes", status(), 0);
	fault_by(VTD_SLOT);
	check("the next fault: a new event", wait_interrupts(BY_FAULT, 2));
	check_equal("the next record is named", fault_first(), 2);
	fault_clear(2);
}

/* All records from 3 on, round to 2. */
static void check_overflow(void)
{
	const unsigned count = fault_records();
	bool good = true;

	for (unsigned i = 0; i < count; i++)
		fault_by(VTD_SLOT + i);
	for (unsigned i = 0; i < count; i++)
		good &= record_is(3 + i, VTD_SLOT + i);
	check("the ring is full", good);
	check_equal("full, and no overflow yet", status(), FSTS_PPF);
	fault_by(VTD_SLOT + count);
	check_equal("one more: overflow", status(), FSTS_PFO | FSTS_PPF);
	for (unsigned i = 0; i < count; i++)
		fault_clear(i);
	fault_by(VTD_SLOT);
	check_equal("while PFO is set nothing is recorded", status(), FSTS_PFO);
	vtd_put(VTD_FSTS, FSTS_PFO);
	check_equal("PFO is cleared by writing it", status(), 0);
	fault_by(VTD_SLOT + 1);
	check("and faults are recorded again", fault_take().source == (VTD_SLOT + 1) << 3);
}

struct wrong {
	const char *name;
	uint64_t low, high;
};

/* What software puts in the place of the bad one, as Linux does. */
static bool stops_and_resumes(const struct wrong *wrong)
{
	static volatile uint32_t told;
	const uint32_t at = queue_next(), before = interrupts[BY_FAULT];

	told = 0;
	queue_put(wrong->low, wrong->high);
	queue_put(DESC_WAIT | WAIT_STATUS | (uint64_t)1 << 32, (uint32_t)&told);
	queue_kick();
	bool good = vtd_wait(VTD_FSTS, FSTS_IQE, FSTS_IQE) && vtd_get(VTD_IQH) == at && !told;

	good &= wait_interrupts(BY_FAULT, before + 1);
	queue_at(at)[0] = DESC_IOTLB | GLOBAL << 4;
	queue_at(at)[1] = 0;
	vtd_put(VTD_FSTS, FSTS_IQE);
	return good && vtd_wait(VTD_IQH, UINT32_MAX, queue_next()) && told == 1 && !(vtd_get(VTD_FSTS) & FSTS_IQE);
}

static void check_wrong(const struct wrong *wrong)
{
	check_in("IQE", wrong->name, stops_and_resumes(wrong));
}

static void check_queue_errors(void)
{
	static const struct wrong all[] = {
		{"type 0", 0, 0},
		{"type 15", 15, 0},
		{"a type of later revisions", DESC_IOTLB | GLOBAL << 4 | 1 << 9, 0},
		{"context, no granularity", DESC_CONTEXT, 0},
		{"context, reserved bit", DESC_CONTEXT | GLOBAL << 4 | 1 << 6, 0},
		{"context, second word", DESC_CONTEXT | GLOBAL << 4, 1},
		{"IOTLB, no granularity", DESC_IOTLB, 0},
		{"IOTLB, reserved bit", DESC_IOTLB | GLOBAL << 4 | 1 << 8, 0},
		{"IOTLB, reserved bit of the second word", DESC_IOTLB | GLOBAL << 4, 1 << 7},
		{"IOTLB, AM too large", DESC_IOTLB | PAGE << 4, 63},
		{"wait for nothing", DESC_WAIT, 0},
		{"wait, reserved bit", DESC_WAIT | WAIT_STATUS | 1 << 8, 0x8000},
		{"wait, address not aligned", DESC_WAIT | WAIT_STATUS, 0x8002},
		{"wait, no memory for the status", DESC_WAIT | WAIT_STATUS, NOWHERE},
	};
	static const struct wrong iec = {"interrupt entries, reserved bit", DESC_IEC | 1 << 5, 0},
				  no_iec = {"interrupt entries without remapping", DESC_IEC, 0},
				  device = {"device TLB without one", DESC_DEVICE_TLB, 0},
				  pasid = {"PASID cache in legacy mode", DESC_PASID_CACHE | 3 << 4, 0},
				  bad_pasid = {"PASID cache, granularity 2", DESC_PASID_CACHE | 2 << 4, 0};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_wrong(&all[i]);
	check_wrong(vtd_ecap & ECAP_IR ? &iec : &no_iec);
	check_wrong(vtd_ecap & ECAP_SMTS ? &bad_pasid : &pasid);
	if (!(vtd_ecap & ECAP_DT))
		check_wrong(&device);
}

static void check_tail(void)
{
	const uint32_t at = queue_next();

	vtd_put(VTD_IQT, 0x2000);
	check("a tail beyond the queue: IQE", vtd_wait(VTD_FSTS, FSTS_IQE, FSTS_IQE));
	check_equal("nothing is fetched", vtd_get(VTD_IQH), at);
	queue_kick();
	vtd_put(VTD_FSTS, FSTS_IQE);
	check("the queue goes on", queue_finish());
}

static void check_wrap(void)
{
	bool good = true;

	for (unsigned i = 0; i < 300 && good; i++)
		good = queue_finish();
	check("300 waits, more than there are entries", good);
}

void payload(void)
{
	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)))
		return;
	interrupts_init();
	vtd_make_tables();
	check("queue on", queue_start());
	check("root table", vtd_set_root((uint32_t)vtd_root | (vtd_ecap & ECAP_SMTS ? RTADDR_SCALABLE : 0)));
	check("everything is flushed", queue_flush_all());
	check("translation on", vtd_switch(CMD_TE, true));
	check_event();
	check_records();
	check_overflow();
	check_queue_errors();
	check_tail();
	check_wrap();
}
