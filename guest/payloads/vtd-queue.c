/* SPDX-License-Identifier: BSD-2-Clause */
/* Queued invalidation (VT-d 6.5.2). */
#include "payload.h"
#include "vtd.h"

enum { QUEUE_BYTES = 4096, PATIENCE = 20000 };

static uint64_t *queue;
static uint32_t tail;
static bool wide;
static volatile uint32_t status;

/* The registers are written while the queue is off, which makes IQH 0. */
bool queue_start(void)
{
	vtd_switch(CMD_QIE, false);
	queue = vtd_page();
	wide = vtd_ecap & ECAP_SMTS;
	tail = 0;
	vtd_put64(VTD_IQT, 0);
	vtd_put64(VTD_IQA, (uint32_t)queue | (wide ? IQA_WIDE : 0));
	return vtd_switch(CMD_QIE, true);
}

uint32_t queue_next(void)
{
	return tail;
}

uint64_t *queue_at(uint32_t offset)
{
	return queue + offset / sizeof(*queue);
}

void queue_put(uint64_t low, uint64_t high)
{
	uint64_t *desc = queue_at(tail);

	desc[0] = low;
	desc[1] = high;
	if (wide)
		desc[2] = desc[3] = 0;
	tail = (tail + (wide ? 32 : 16)) % QUEUE_BYTES;
}

void queue_kick(void)
{
	vtd_put(VTD_IQT, tail);
}

bool queue_finish(void)
{
	static uint32_t token;

	token++;
	queue_put(DESC_WAIT | WAIT_STATUS | (uint64_t)token << 32, (uint32_t)&status);
	queue_kick();
	for (unsigned i = 0; i < PATIENCE && status != token; i++)
		breathe(1);
	return status == token;
}

uint64_t context_desc(unsigned granularity, uint16_t did, uint16_t source, unsigned function_mask)
{
	return DESC_CONTEXT | granularity << 4 | (uint32_t)did << 16 | (uint64_t)source << 32 |
	       (uint64_t)function_mask << 48;
}

uint64_t iotlb_desc(unsigned granularity, uint16_t did)
{
	return DESC_IOTLB | granularity << 4 | (uint32_t)did << 16;
}

uint64_t pasid_desc(unsigned type, unsigned granularity, uint16_t did, uint32_t pasid)
{
	return type | granularity << 4 | (uint32_t)did << 16 | (uint64_t)pasid << 32;
}

bool queue_flush_all(void)
{
	queue_put(context_desc(GLOBAL, 0, 0, 0), 0);
	if (vtd_ecap & ECAP_SMTS)
		queue_put(pasid_desc(DESC_PASID_CACHE, 3, 0, 0), 0);
	queue_put(iotlb_desc(GLOBAL, 0), 0);
	return queue_finish();
}
