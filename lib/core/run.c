/* SPDX-License-Identifier: BSD-2-Clause */
/* The run around an address: leaves side by side that go on in guest memory, too, with equal rights. */
#include <errno.h>

#include "lib/core/target.h"

enum { RUN_LEAVES = 512, RUN_RIGHTS = VIOMMU_READ | VIOMMU_WRITE };

/* A run that grows, inside one region of memory. All addresses of both spaces change together. */
struct growing {
	struct viommu_section *section;
	const struct memory_region *region;
	uint64_t first, last, gpa; /* gpa: of first */
	unsigned access;
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool continues(const struct growing *run, const struct target *target)
{
	return (target->access & RUN_RIGHTS) == run->access && target_allows(target, 0);
}

/* Bytes of a target, clipped to the region. */
static uint64_t ahead(const struct growing *run, const struct target *target)
{
	return least(target->len - 1, run->region->gpa.last - target->gpa);
}

static uint64_t behind(const struct growing *run, const struct target *target)
{
	return least(target->before, target->gpa - run->region->gpa.first);
}

static void grow_up(struct growing *run)
{
	struct target next;

	for (unsigned i = 0; i < RUN_LEAVES; i++) {
		uint64_t gpa = run->gpa + (run->last - run->first);

		if (run->last == UINT64_MAX || gpa == run->region->gpa.last ||
		    !target_find_or_walk(run->section, run->last + 1, run->access, &next) || next.gpa != gpa + 1 ||
		    !continues(run, &next))
			return;
		run->last += 1 + least(ahead(run, &next), UINT64_MAX - run->last - 1);
	}
}

static void grow_down(struct growing *run)
{
	struct target next;

	for (unsigned i = 0; i < RUN_LEAVES; i++) {
		if (!run->first || run->gpa == run->region->gpa.first ||
		    !target_find_or_walk(run->section, run->first - 1, run->access, &next) ||
		    next.gpa != run->gpa - 1 || !continues(run, &next))
			return;
		uint64_t step = 1 + behind(run, &next);

		run->first -= step;
		run->gpa -= step;
	}
}

static int start(struct growing *run, uint64_t iova, unsigned access)
{
	struct target target;

	if (!target_find_or_walk(run->section, iova, access, &target))
		return -EFAULT;
	if (!target_allows(&target, access))
		return (target.access & access) == access ? -EFAULT : -EACCES;
	run->region = memory_find(run->section->memory, target.gpa);
	if (!run->region)
		return -EFAULT;
	uint64_t before = behind(run, &target);

	run->first = iova - before;
	run->gpa = target.gpa - before;
	run->last = iova + least(ahead(run, &target), UINT64_MAX - iova);
	run->access = target.access & RUN_RIGHTS;
	return 0;
}

/* The fault, if it is one, is translation's to report. */
static int report_access(struct viommu_section *section, struct viommu_iova iova, unsigned access)
{
	struct viommu_span span;

	return viommu_dma_translate(section, iova, 1, access, &span);
}

int viommu_dma_run(struct viommu_section *section, struct viommu_iova iova, unsigned access, bool report,
		   struct viommu_run *out)
{
	struct growing run = {.section = section};
	int err = report ? report_access(section, iova, access) : section->domain ? 0 : -EFAULT;

	if (!err)
		err = start(&run, iova.value, access);
	if (err)
		return err;
	grow_up(&run);
	grow_down(&run);
	uint64_t offset = run.gpa - run.region->gpa.first;

	*out = (struct viommu_run){
		.first = {run.first},
		.last = {run.last},
		.access = run.access,
		.gpa = {run.gpa},
		.host = run.region->host + offset,
		.fd = run.region->fd,
		.fd_offset = run.region->fd_offset + offset,
	};
	return 0;
}
