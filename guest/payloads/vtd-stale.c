/* SPDX-License-Identifier: BSD-2-Clause */
#include "vtd-stale.h"

#include "dma.h"
#include "payload.h"
#include "vtd.h"

static bool by_register(const struct stale *stale)
{
	const unsigned done =
		stale->kind == BY_IOTLB
			? vtd_register_iotlb(stale->granularity, stale->did, stale->address)
			: vtd_register_context(stale->granularity, stale->did, stale->source, stale->function_mask);

	return done == stale->granularity;
}

static bool by_queue(const struct stale *stale)
{
	const uint64_t pasid_low = pasid_desc(stale->kind == BY_PASID_IOTLB ? DESC_PASID_IOTLB : DESC_PASID_CACHE,
					      stale->granularity, stale->did, stale->pasid);

	switch (stale->kind) {
	case BY_CONTEXT:
		queue_put(context_desc(stale->granularity, stale->did, stale->source, stale->function_mask), 0);
		break;
	case BY_IOTLB:
		queue_put(iotlb_desc(stale->granularity, stale->did), stale->address);
		break;
	case BY_PASID_IOTLB:
	case BY_PASID_CACHE:
		queue_put(pasid_low, stale->address);
		break;
	}
	return queue_finish();
}

static bool queue_on(void)
{
	return vtd_get(VTD_GSTS) & CMD_QIE;
}

static bool perform(const struct stale *stale)
{
	return queue_on() ? by_queue(stale) : by_register(stale);
}

static bool flush_all(void)
{
	static const struct stale context = {.kind = BY_CONTEXT, .granularity = GLOBAL},
				  iotlb = {.kind = BY_IOTLB, .granularity = GLOBAL};

	return queue_on() ? queue_flush_all() : perform(&context) && perform(&iotlb);
}

/* Where an entry above the paging entries has changed, the IOTLB alone must not be what kept the old one in use. */
static bool make_stale(const struct stale *stale, const struct change *change)
{
	static const struct stale iotlb = {.kind = BY_IOTLB, .granularity = GLOBAL};

	*change->word = change->before;
	if (!flush_all() || !dma_lands(STALE_IOVA, change->first))
		return false;
	*change->word = change->after;
	if (stale->kind == BY_CONTEXT || stale->kind == BY_PASID_CACHE)
		perform(&iotlb);
	return dma_lands(STALE_IOVA, change->first);
}

void stale_check(const char *where, const struct stale *cases, unsigned count, const struct change *change)
{
	static const struct stale iotlb = {.kind = BY_IOTLB, .granularity = GLOBAL};

	for (unsigned i = 0; i < count; i++) {
		const struct stale *stale = &cases[i];

		if (!make_stale(stale, change)) {
			check_in(where, "the old one is in use", false);
			continue;
		}
		bool good = perform(stale);

		/* Software invalidates the IOTLB after what is above it (6.5.2.4). */
		if (stale->kind == BY_CONTEXT || stale->kind == BY_PASID_CACHE)
			good = perform(&iotlb) && good;
		check_in(where, stale->name,
			 good && dma_lands(STALE_IOVA, stale->hits ? change->second : change->first));
	}
	*change->word = change->before;
	flush_all();
}
