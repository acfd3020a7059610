/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that comes and goes: mirrors are told of the parts of mappings that lie in it. */
#include "lib/core/mirror.h"

/* A region that comes to a domain's mirrors, or goes. */
struct memory_change {
	struct viommu_domain *domain;
	const struct memory_region *region;
	bool undo; /* it has not come after all */
};

static int add_mapping(void *opaque, const struct mapping *mapping)
{
	const struct memory_change *change = opaque;
	int ret = 0;

	lock_is_held(&change->domain->mirror_lock);
	for (struct viommu_client *mirror = change->domain->mirrors; mirror && !ret; mirror = mirror->next_in_domain)
		ret = mirror_map(mirror, change->region, 1, mapping, false);
	return ret;
}

static int remove_mapping(void *opaque, const struct mapping *mapping)
{
	const struct memory_change *change = opaque;
	const struct range region = change->region->gpa,
			   gpa = {mapping->gpa, mapping->gpa + (mapping->iova.last - mapping->iova.first)};
	struct range iova = mapping->iova;

	if (!range_overlaps(gpa, region))
		return 0;
	lock_is_held(&change->domain->mirror_lock);
	iova.first += region.first > gpa.first ? region.first - gpa.first : 0;
	iova.last -= region.last < gpa.last ? gpa.last - region.last : 0;
	for (struct viommu_client *mirror = change->domain->mirrors; mirror; mirror = mirror->next_in_domain)
		mirror_unmap(mirror, iova, change->undo ? 0 : mirror_next_ticket(mirror));
	return 0;
}

/* All mappings of the region are told, as a bypass has them: the mappings that the region gives by itself. */
static int tell_region(struct viommu_domain *domain, mapping_visitor visit, struct memory_change *change)
	REQUIRES(domain->mirror_lock)
{
	int err;

	if (domain->identity)
		err = visit(change, &(struct mapping){.iova = change->region->gpa,
						      .gpa = change->region->gpa.first,
						      .access = VIOMMU_READ | VIOMMU_WRITE});
	else
		err = mirrors_each_mapping(domain, NULL, visit, change);
	mirrors_batch_end_locked(domain);
	return err;
}

static void forget_region(struct viommu_domain *domain, const struct memory *memory, struct memory_change *change)
	REQUIRES(domain->mirror_lock)
{
	tell_region(domain, remove_mapping, change);
	domain->mirror_memory = memory;
}

/* Mirrors that entered a space since the new array is known have been told of it all already. */
static int add_to_domain(struct viommu_domain *domain, const struct memory *old, const struct memory *memory,
			 const struct memory_region *region)
{
	struct memory_change change = {.domain = domain, .region = region, .undo = true};
	int err = 0;

	lock_take(&domain->mirror_lock);
	if (domain->mirrors && domain->mirror_memory != memory) {
		err = tell_region(domain, add_mapping, &change);
		if (err)
			forget_region(domain, old, &change);
		else
			domain->mirror_memory = memory;
	}
	lock_drop(&domain->mirror_lock);
	return err;
}

int mirrors_memory_added(struct viommu *v, const struct memory *old, const struct memory *memory,
			 const struct memory_region *region)
{
	int err = 0;

	/* Release: partner of the acquire in link_mirror(). */
	atomic_store_explicit(&v->mirror_memory, memory, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain && !err; domain = domain->next)
		err = add_to_domain(domain, old, memory, region);
	if (!err)
		return 0;
	atomic_store_explicit(&v->mirror_memory, old, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next) {
		struct memory_change change = {.domain = domain, .region = region, .undo = true};

		lock_take(&domain->mirror_lock);
		if (domain->mirrors && domain->mirror_memory == memory)
			forget_region(domain, old, &change);
		lock_drop(&domain->mirror_lock);
	}
	return err;
}

void mirrors_memory_removed(struct viommu *v, const struct memory *memory, const struct memory_region *region)
{
	atomic_store_explicit(&v->mirror_memory, memory, memory_order_release);
	for (struct viommu_domain *domain = v->domains; domain; domain = domain->next) {
		struct memory_change change = {.domain = domain, .region = region};

		lock_take(&domain->mirror_lock);
		if (domain->mirrors && domain->mirror_memory != memory)
			forget_region(domain, memory, &change);
		lock_drop(&domain->mirror_lock);
	}
}
