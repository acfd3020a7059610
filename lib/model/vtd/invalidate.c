/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an invalidation means for the endpoints (section 6.5). An endpoint's space holds what was found by way of its
 * cached context, and nothing where no context is cached: so the context's tags are those of all that is kept. A
 * context that goes takes the contents of the space with it. Room is made first, so each function does all or nothing.
 */
#include <errno.h>

#include "lib/model/vtd/unit.h"
#include "lib/spec/vtd_fault.h"

/* The unit collects no more, so a guest that never waits for its invalidations cannot fill our memory. */
enum { CHANGES_MAX = 1024 };

static const struct range everything = {0, UINT64_MAX};

/* An invalidation concerns the endpoints that match in all that it names. */
struct scope {
	bool by_did, by_pasid, by_source;
	uint16_t did, source, hidden; /* hidden: bits of the source that do not count */
	uint32_t pasid;
};

static bool concerned(struct vtd_endpoint *endpoint, const struct scope *scope)
{
	if (scope->by_source)
		return !((endpoint->source ^ scope->source) & ~scope->hidden);
	if (!scope->by_did && !scope->by_pasid)
		return true;
	spin_take(&endpoint->lock);
	const struct vtd_context *context = &endpoint->context;
	bool match = context->valid && (!scope->by_did || context->did == scope->did) &&
		     (!scope->by_pasid || context->pasid == scope->pasid);

	spin_drop(&endpoint->lock);
	return match;
}

static int make_room(struct viommu_vtd *unit, struct viommu_inval *inval) REQUIRES(unit->lock)
{
	size_t endpoints = 0, count = viommu__inval_changes(inval);

	for (const struct vtd_endpoint *endpoint = unit->endpoints; endpoint; endpoint = endpoint->next)
		endpoints++;
	if (count > CHANGES_MAX + VTD_CHANGES_PER_ENDPOINT * endpoints)
		return -ENOMEM;
	return viommu__inval_room(inval, count + 3 * endpoints); /* what is evicted, left and entered */
}

/*
 * The context goes before what came by way of it: evicting ends with a new generation, so a walk that still has the old
 * context keeps nothing. An endpoint that failed, and has let go since (inval.h), works again when the guest sets it up
 * anew.
 */
static int invalidate_drop(struct viommu_vtd *unit, struct viommu_inval *inval, const struct scope *scope)
	REQUIRES(unit->lock)
{
	int err = make_room(unit, inval);

	for (struct vtd_endpoint *endpoint = unit->endpoints; endpoint && !err; endpoint = endpoint->next) {
		if (!concerned(endpoint, scope))
			continue;
		spin_take(&endpoint->lock);
		endpoint->context.valid = false;
		spin_drop(&endpoint->lock);
		viommu__domain_evict(endpoint->space, everything, false, inval);
		if (endpoint->translating)
			viommu_attach(endpoint->endpoint, endpoint->space, inval);
		else
			viommu_bypass(endpoint->endpoint, inval);
	}
	return err;
}

/*
 * A device may keep translations of its own only where its context lets it ask for them (TT = 01, DTE), whatever its
 * ATS capability says.
 */
static bool may_ask(struct vtd_endpoint *endpoint)
{
	spin_take(&endpoint->lock);
	bool may = endpoint->context.valid && endpoint->context.translated_ok;

	spin_drop(&endpoint->lock);
	return may;
}

/* spare_ats: clients behind ATS have invalidations of their own (6.5.2.5). */
static int evict(struct viommu_vtd *unit, struct viommu_inval *inval, const struct scope *scope, struct range range,
		 bool spare_ats) REQUIRES(unit->lock)
{
	int err = make_room(unit, inval);

	for (struct vtd_endpoint *endpoint = unit->endpoints; endpoint && !err; endpoint = endpoint->next)
		if (concerned(endpoint, scope))
			err = viommu__domain_evict(endpoint->space, range, spare_ats && may_ask(endpoint), inval);
	return err;
}

/* The 2^am pages that an address lies in. */
static struct range masked(uint64_t address, unsigned am)
{
	unsigned bits = TABLE_PAGE_SHIFT + am;
	uint64_t mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;

	return (struct range){address & ~mask, address | mask};
}

/* 6.5.2.1: FM hides low bits of the function number. The domain id that comes with a source says nothing more. */
int vtd_invalidate_context(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			   uint16_t source, unsigned function_mask)
{
	static const uint16_t hidden[] = {0, 4, 6, 7};
	struct scope scope = {
		.by_did = granularity == VTD_DOMAIN,
		.did = did,
		.by_source = granularity == VTD_DEVICE,
		.source = source,
		.hidden = hidden[function_mask & 3],
	};

	return invalidate_drop(unit, inval, &scope);
}

int vtd_invalidate_iotlb(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			 uint64_t address, unsigned am)
{
	struct scope scope = {.by_did = granularity != VTD_GLOBAL, .did = did};

	return evict(unit, inval, &scope, granularity == VTD_PAGE ? masked(address, am) : everything, true);
}

int vtd_invalidate_pasid_iotlb(struct viommu_vtd *unit, struct viommu_inval *inval, bool page, uint16_t did,
			       uint32_t pasid, uint64_t address, unsigned am)
{
	struct scope scope = {.by_did = true, .did = did, .by_pasid = true, .pasid = pasid};

	return evict(unit, inval, &scope, page ? masked(address, am) : everything, true);
}

int vtd_invalidate_pasid_cache(struct viommu_vtd *unit, struct viommu_inval *inval, unsigned granularity, uint16_t did,
			       uint32_t pasid)
{
	struct scope scope = {
		.by_did = granularity != VTD_PASID_GLOBAL,
		.did = did,
		.by_pasid = granularity == VTD_PASID_ONE,
		.pasid = pasid,
	};

	return invalidate_drop(unit, inval, &scope);
}

int vtd_invalidate_device_tlb(struct viommu_vtd *unit, struct viommu_inval *inval, uint16_t source, uint64_t first,
			      uint64_t last)
{
	struct scope scope = {.by_source = true, .source = source};

	return evict(unit, inval, &scope, (struct range){first, last}, false);
}

int vtd_invalidate_all(struct viommu_vtd *unit, struct viommu_inval *inval)
{
	return invalidate_drop(unit, inval, &(struct scope){0});
}

/* Mirrors do not let the endpoint go where the guest has sent it: the operator hears of it, and so does the guest. */
static void tell_refusal(struct viommu_vtd *unit, const struct vtd_endpoint *endpoint) REQUIRES(unit->lock)
{
	const bool scalable = vtd_field(unit->regs[REG_RTADDR], 11, 10) == VTD_TTM_SCALABLE;

	viommu_fault_report(endpoint->endpoint, (struct viommu_iova){0}, VIOMMU_READ | VIOMMU_WRITE,
			    VIOMMU_FAULT_NO_ROOM);
	vtd_fault_record(unit, &(struct vtd_fault){.source = endpoint->source,
						   .reason = scalable ? VTD_FAULT_SS_PERMISSION : VTD_FAULT_NO_WRITE});
}

/*
 * What was kept from an earlier time with translation goes first. An endpoint that has failed (-EIO), or whose mirrors
 * refuse what the guest has set up, stays blocked, and what it still does is waited for; a later invalidation brings it
 * back.
 */
int vtd_set_translation(struct viommu_vtd *unit, struct viommu_inval *inval, bool on)
{
	int err = on ? vtd_invalidate_all(unit, inval) : 0;

	unit->translating = on;
	if (!err)
		err = make_room(unit, inval);
	for (struct vtd_endpoint *endpoint = unit->endpoints; endpoint && !err; endpoint = endpoint->next) {
		endpoint->translating = on;
		err = on ? viommu_attach(endpoint->endpoint, endpoint->space, inval)
			 : viommu_bypass(endpoint->endpoint, inval);
		if (err && err != -EIO && err != -ENOMEM)
			tell_refusal(unit, endpoint);
		if (err)
			err = viommu_detach(endpoint->endpoint, inval);
	}
	return err;
}
