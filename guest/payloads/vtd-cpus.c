/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another processor, "cpu=ID", of any id of 32 bits: a device's message reaches it by way of an interrupt remapping
 * entry.
 */
#include "ap.h"
#include "interrupt.h"
#include "payload.h"
#include "vtd-irte.h"
#include "vtd.h"

enum { THERE = 0, HERE = 1, ENTRY = 4 };

static void check_goes(const char *name, unsigned index, uint32_t id)
{
	irte_set(ENTRY, irte_to(index, id), IRTE_SOURCE(VTD_SOURCE));
	ap_forget();
	check(name, edu_reaches(index));
	check_equal("it is taken by that processor", ap_taker(), id);
}

void payload(void)
{
	const uint32_t id = parameter("cpu", 300);

	if (!check("DMAR names the unit of the device", vtd_find(VTD_SOURCE)))
		return;
	check_equal("the processor starts and knows its id", ap_start(id), id);
	edu_open(VTD_SLOT);
	check("queue on", queue_start());
	check("interrupt table with 32-bit destinations", irte_start(true));
	edu_handle(ENTRY, -1);
	check_goes("a message to that processor comes", THERE, id);
	check_goes("the entry is changed: a message to the first one comes", HERE, 0);
	check_goes("and back", THERE, id);
}
