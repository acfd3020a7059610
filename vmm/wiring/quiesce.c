/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/quiesce.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <viommu/viommu.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/wiring/progress.h"

struct quiesce {
	struct viommu_inval *inval;
	struct progress *progress;
	struct progress_waiter waiter;
	/* Its entries: REGISTRY_MASTER_OFF of the devices asked for, `quiescing` of those that `inval` waits for. */
	struct registry *registry;
	/* I/O thread only. */
	bool waits; /* `inval` waits for some device */
	bool later; /* a holder bars the wait for some of those asked for */
};

/* With the device's lock held, so that it cannot be told of an earlier end. */
void quiesce_master_off(struct quiesce *quiesce, struct pci_dev *dev)
{
	if (registry_note(quiesce->registry, pci_requester_id(dev->bus, dev->devfn), REGISTRY_MASTER_OFF))
		progress_signal(quiesce->progress);
}

static bool asked(const struct registered *entry)
{
	return atomic_load_explicit(&entry->notes, memory_order_relaxed) & REGISTRY_MASTER_OFF;
}

static bool any_asked(const struct quiesce *quiesce)
{
	for (struct registered *entry = NULL; (entry = registry_next(quiesce->registry, entry));)
		if (asked(entry))
			return true;
	return false;
}

static void ask_again(struct quiesce *quiesce, struct registered *entry)
{
	registry_note(quiesce->registry, entry->requester, REGISTRY_MASTER_OFF);
	quiesce->later = true;
}

/* Ask for all that were noted. A device that failed, or for which there is no memory, is asked for again later. */
static void begin(struct quiesce *quiesce)
{
	quiesce->later = false;
	for (struct registered *entry = NULL; (entry = registry_next(quiesce->registry, entry));) {
		if (!registry_take_note(entry, REGISTRY_MASTER_OFF))
			continue;
		if (viommu_quiesce(entry->dev->endpoint, quiesce->inval))
			ask_again(quiesce, entry);
		else
			quiesce->waits = entry->quiescing = true;
	}
	viommu_inval_begin(quiesce->inval);
}

/* Nothing is told to devices that passed their deadline before they have let go: they are asked for again. */
static int advance(struct quiesce *quiesce)
{
	const int ret = viommu_inval_poll(quiesce->inval);

	if (ret && ret != -ETIMEDOUT)
		return ret;
	for (struct registered *entry = NULL; (entry = registry_next(quiesce->registry, entry));) {
		if (!entry->quiescing)
			continue;
		entry->quiescing = false;
		if (ret) {
			ask_again(quiesce, entry);
			continue;
		}
		/* Its DMA is over; but a function that was asked for again meanwhile has to wait again. */
		mutex_take(&entry->dev->lock);
		if (!asked(entry))
			pci_dma_idle_locked(entry->dev);
		mutex_drop(&entry->dev->lock);
	}
	quiesce->waits = false;
	return ret;
}

/* Where a holder bars the wait for a device, it is asked for again once the holder has let go. */
static void quiesce_poll(void *opaque)
{
	struct quiesce *quiesce = opaque;

	if (!quiesce->waits) {
		if (!any_asked(quiesce))
			return;
		begin(quiesce);
	}
	if (advance(quiesce) == -EAGAIN || quiesce->later)
		progress_await(quiesce->progress);
	else if (any_asked(quiesce))
		progress_signal(quiesce->progress);
}

int quiesce_create(struct viommu *v, struct progress *progress, struct registry *registry, struct quiesce **out)
{
	struct quiesce *quiesce = calloc(1, sizeof(*quiesce));
	int err;

	if (!quiesce)
		return -ENOMEM;
	quiesce->progress = progress;
	quiesce->registry = registry;
	quiesce->waiter = (struct progress_waiter){.poll = quiesce_poll, .opaque = quiesce};
	err = viommu_inval_create(v, &quiesce->inval);
	if (err) {
		free(quiesce);
		return err;
	}
	progress_add(progress, &quiesce->waiter);
	*out = quiesce;
	return 0;
}

void quiesce_destroy(struct quiesce *quiesce)
{
	if (!quiesce)
		return;
	viommu_inval_destroy(quiesce->inval);
	free(quiesce);
}
