/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>

#include "tests/support/virtio_reference.h"

static bool accepted(const struct reference *ref, unsigned feature)
{
	return ref->features >> feature & 1;
}

static int find_endpoint(const struct reference *ref, uint32_t id)
{
	for (int i = 0; i < REF_ENDPOINTS; i++)
		if (ref->ids[i] == id)
			return i;
	return -1;
}

/* NULL: no endpoint is attached to it. */
static struct ref_domain *find_domain(struct reference *ref, uint32_t id)
{
	return id < REF_DOMAINS && ref->domains[id].endpoints ? &ref->domains[id] : NULL;
}

static void leave(struct reference *ref, int endpoint)
{
	int from = ref->attached[endpoint];

	ref->attached[endpoint] = REF_UNATTACHED;
	if (from != REF_UNATTACHED && !--ref->domains[from].endpoints)
		ref->domains[from].count = 0;
}

int ref_attach(struct reference *ref, uint32_t domain, uint32_t endpoint, uint32_t flags, uint32_t reserved)
{
	const bool bypass = flags & VIO_ATTACH_F_BYPASS;
	const int index = find_endpoint(ref, endpoint);

	if (!accepted(ref, VIO_F_MAP_UNMAP))
		return REF_UNWRITTEN;
	if (flags & ~(uint32_t)VIO_ATTACH_F_BYPASS || reserved || (bypass && !accepted(ref, VIO_F_BYPASS_CONFIG)))
		return VIO_S_INVAL;
	if (index < 0)
		return VIO_S_NOENT;
	if (domain < ref->domain_first || domain > ref->domain_last)
		return VIO_S_RANGE;
	if (find_domain(ref, domain) && ref->domains[domain].bypass != bypass)
		return VIO_S_INVAL;
	if (ref->attached[index] == (int)domain)
		return VIO_S_OK;
	leave(ref, index);
	ref->attached[index] = (int)domain;
	ref->domains[domain].endpoints++;
	ref->domains[domain].bypass = bypass;
	return VIO_S_OK;
}

int ref_detach(struct reference *ref, uint32_t domain, uint32_t endpoint)
{
	const int index = find_endpoint(ref, endpoint);

	if (!accepted(ref, VIO_F_MAP_UNMAP))
		return REF_UNWRITTEN;
	if (index < 0)
		return VIO_S_NOENT;
	if (ref->attached[index] == REF_UNATTACHED || (uint32_t)ref->attached[index] != domain)
		return VIO_S_INVAL;
	leave(ref, index);
	return VIO_S_OK;
}

static bool aligned(const struct reference *ref, uint64_t first, uint64_t last, uint64_t phys)
{
	/* last + 1 may be 2^64, which is a multiple of every granule. */
	return first % ref->granule == 0 && (last + 1) % ref->granule == 0 && phys % ref->granule == 0;
}

static bool overlap(uint64_t first, uint64_t last, uint64_t other_first, uint64_t other_last)
{
	return !(last < other_first || other_last < first);
}

static bool in_reserved(const struct reference *ref, const struct ref_mapping *mapping)
{
	for (unsigned i = 0; i < ref->resv_count; i++)
		if (overlap(mapping->first, mapping->last, ref->resv[i].first, ref->resv[i].last))
			return true;
	return false;
}

static bool in_mapped(const struct ref_domain *domain, const struct ref_mapping *mapping)
{
	for (unsigned i = 0; i < domain->count; i++)
		if (overlap(mapping->first, mapping->last, domain->mappings[i].first, domain->mappings[i].last))
			return true;
	return false;
}

int ref_map(struct reference *ref, uint32_t id, const struct ref_mapping *mapping)
{
	struct ref_domain *domain = find_domain(ref, id);
	uint32_t known = VIO_MAP_F_READ | VIO_MAP_F_WRITE;

	if (accepted(ref, VIO_F_MMIO))
		known |= VIO_MAP_F_MMIO;
	if (!accepted(ref, VIO_F_MAP_UNMAP))
		return REF_UNWRITTEN;
	if (!domain)
		return VIO_S_NOENT;
	if (domain->bypass || mapping->flags & ~known || mapping->first > mapping->last)
		return VIO_S_INVAL;
	if (!aligned(ref, mapping->first, mapping->last, mapping->phys) || mapping->last > ref->input_last)
		return VIO_S_RANGE;
	if (mapping->phys + (mapping->last - mapping->first) < mapping->phys)
		return VIO_S_RANGE;
	if (in_reserved(ref, mapping) || in_mapped(domain, mapping))
		return VIO_S_INVAL;
	if (domain->count == REF_MAPPINGS) /* more than what the tests' addresses allow */
		__builtin_trap();
	domain->mappings[domain->count++] = *mapping;
	return VIO_S_OK;
}

int ref_unmap(struct reference *ref, uint32_t id, uint64_t first, uint64_t last, uint32_t reserved)
{
	struct ref_domain *domain = find_domain(ref, id);
	unsigned kept = 0;

	if (!accepted(ref, VIO_F_MAP_UNMAP))
		return REF_UNWRITTEN;
	if (!domain)
		return VIO_S_NOENT;
	if (domain->bypass || first > last || reserved)
		return VIO_S_INVAL;
	for (unsigned i = 0; i < domain->count; i++) {
		const struct ref_mapping *mapping = &domain->mappings[i];

		if (overlap(first, last, mapping->first, mapping->last) &&
		    (mapping->first < first || mapping->last > last))
			return VIO_S_RANGE;
	}
	for (unsigned i = 0; i < domain->count; i++)
		if (!overlap(first, last, domain->mappings[i].first, domain->mappings[i].last))
			domain->mappings[kept++] = domain->mappings[i];
	domain->count = kept;
	return VIO_S_OK;
}

int ref_probe(const struct reference *ref, uint32_t endpoint, uint64_t room)
{
	if (!accepted(ref, VIO_F_PROBE))
		return REF_UNWRITTEN;
	if (room < (uint64_t)ref->resv_count * VIO_RESV_SIZE)
		return VIO_S_INVAL;
	return find_endpoint(ref, endpoint) < 0 ? VIO_S_NOENT : VIO_S_OK;
}

void ref_write_bypass(struct reference *ref, bool bypass)
{
	if (accepted(ref, VIO_F_BYPASS_CONFIG))
		ref->bypass = bypass;
}

void ref_reset(struct reference *ref)
{
	for (int i = 0; i < REF_ENDPOINTS; i++)
		leave(ref, i);
	ref->features = 0;
	if (ref->legacy)
		ref->bypass = false;
}

void ref_accept(struct reference *ref, uint64_t features)
{
	ref->features = features;
	if (ref->legacy)
		ref->bypass = accepted(ref, VIO_F_BYPASS);
}

static enum ref_outcome physical(const struct reference *ref, uint64_t address, uint64_t *gpa)
{
	*gpa = address;
	return address >= ref->memory_first && address <= ref->memory_last ? REF_REACHES : REF_NO_MEMORY;
}

static enum ref_outcome mapped(const struct reference *ref, const struct ref_domain *domain, uint64_t address,
			       uint32_t access, uint64_t *gpa)
{
	for (unsigned i = 0; i < domain->count; i++) {
		const struct ref_mapping *mapping = &domain->mappings[i];

		if (address < mapping->first || address > mapping->last)
			continue;
		if (access & ~mapping->flags)
			return REF_NO_RIGHT;
		if (mapping->flags & VIO_MAP_F_MMIO)
			return REF_NO_MEMORY;
		return physical(ref, mapping->phys + (address - mapping->first), gpa);
	}
	return REF_NOT_MAPPED;
}

enum ref_outcome ref_access(const struct reference *ref, unsigned endpoint, uint64_t address, uint32_t access,
			    uint64_t *gpa)
{
	const int id = ref->attached[endpoint];

	if (id == REF_UNATTACHED)
		return ref->bypass ? physical(ref, address, gpa) : REF_BLOCKED;
	if (ref->domains[id].bypass)
		return physical(ref, address, gpa);
	return mapped(ref, &ref->domains[id], address, access, gpa);
}
