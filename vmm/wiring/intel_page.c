/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/intel_page.h"

#include <errno.h>
#include <sys/mman.h>

/* The unit has the page before the guest does. */
static bool show(struct intel_page *page) REQUIRES(page->lock)
{
	if (viommu_vtd_page_open(page->unit, page->host))
		return false;
	page->shown = !kvm_slot_add(page->slots, &page->slot);
	if (!page->shown)
		viommu_vtd_page_close(page->unit);
	return page->shown;
}

/* Where KVM has no memory to take it away now, who looks next tries again. */
static void withdraw(struct intel_page *page) REQUIRES(page->lock)
{
	if (!page->shown || kvm_slot_remove(page->slots, &page->slot))
		return;
	page->shown = false;
	viommu_vtd_page_close(page->unit);
}

static bool page_begin(void *opaque)
{
	struct intel_page *page = opaque;

	mutex_take(&page->lock);
	const bool shown = page->shown || show(page);

	mutex_drop(&page->lock);
	return shown;
}

static bool page_look(void *opaque)
{
	struct intel_page *page = opaque;

	mutex_take(&page->lock);
	const int found = page->shown ? viommu_vtd_page_look(page->unit) : 0;

	if (found == -EBUSY)
		withdraw(page);
	const bool shown = page->shown;

	mutex_drop(&page->lock);
	if (!shown)
		polling_stop_for_now(&page->polling);
	return found > 0;
}

static bool page_end(void *opaque)
{
	struct intel_page *page = opaque;

	mutex_take(&page->lock);
	withdraw(page);
	const bool shown = page->shown;

	mutex_drop(&page->lock);
	return !shown;
}

static const struct polling_ops page_ops = {.begin = page_begin, .look = page_look, .end = page_end};

int intel_page_init(struct intel_page *page, struct viommu_vtd *unit, uint64_t gpa, struct kvm_slots *slots,
		    struct loop *loop, enum polling_mode mode)
{
	*page = (struct intel_page){.unit = unit, .slots = slots};
	mutex_init(&page->lock);
	polling_init(&page->polling, loop, mode, &page_ops, page);
	if (mode == POLLING_OFF)
		return 0;
	page->host = mmap(NULL, VIOMMU_VTD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page->host == MAP_FAILED) {
		page->host = NULL;
		return -errno;
	}
	page->slot = (struct kvm_slot){.gpa = gpa, .size = VIOMMU_VTD_SIZE, .host = page->host};
	return 0;
}

void intel_page_fini(struct intel_page *page)
{
	if (!page->unit)
		return; /* it was never made */
	polling_fini(&page->polling);
	page_end(page);
	viommu_vtd_page_close(page->unit); /* where KVM has kept it: nobody runs that could reach it */
	if (page->host)
		munmap(page->host, VIOMMU_VTD_SIZE);
	mutex_fini(&page->lock);
}

void intel_page_settle(struct intel_page *page)
{
	if (page->host && viommu_vtd_page_waits(page->unit))
		page_end(page);
}

void intel_page_busy(struct intel_page *page)
{
	polling_busy(&page->polling);
}
