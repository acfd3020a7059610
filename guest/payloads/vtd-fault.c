/* SPDX-License-Identifier: BSD-2-Clause */
#include "vtd-fault.h"

#include "dma.h"
#include "payload.h"
#include "vtd.h"

static struct fault provoke(const struct fault_case *wrong)
{
	queue_flush_all();
	if (wrong->write)
		dma_write(wrong->iova);
	else
		dma_read(wrong->iova);
	return fault_take();
}

static bool matches(const struct fault_case *wrong)
{
	const struct fault fault = provoke(wrong);

	if (fault.reason == wrong->reason && fault.source == VTD_SOURCE && fault.read == !wrong->write &&
	    fault.info == (wrong->iova & ~0xfffull) && !fault.has_pasid)
		return true;
	print("# reason 0x%x source 0x%x %s 0x%x%x\n", fault.reason, fault.source, fault.read ? "read" : "write",
	      (uint32_t)(fault.info >> 32), (uint32_t)fault.info);
	return false;
}

/* FPD of an entry counts where the entry is read and the fault is qualified. */
static bool silenced(const struct fault_case *wrong, const struct silencers *silencers)
{
	bool good = true;

	for (unsigned i = 0; i < silencers->count; i++) {
		uint64_t *entry = silencers->entry[i], old = *entry;

		*entry |= ENTRY_FPD;
		good &= !provoke(wrong).reason == (i < wrong->silent);
		*entry = old;
	}
	return good;
}

void fault_check(const char *where, const struct fault_case *cases, unsigned count, const struct silencers *silencers)
{
	for (unsigned i = 0; i < count; i++) {
		const struct fault_case *wrong = &cases[i];
		const uint64_t old = wrong->word ? *wrong->word : 0;

		if (wrong->word)
			*wrong->word = wrong->value;
		check_in(where, wrong->name, matches(wrong));
		check_in(where, wrong->silent ? "FPD: no record" : "FPD: a record all the same",
			 silenced(wrong, silencers));
		if (wrong->word)
			*wrong->word = old;
	}
}

void fault_check_root(const char *where, const char *name, uint64_t rtaddr, uint64_t good, uint8_t reason)
{
	const struct fault_case wrong = {name, NULL, 0, 0x1000, reason, true, 0};

	vtd_set_root(rtaddr);
	check_in(where, name, matches(&wrong));
	vtd_set_root(good);
}
