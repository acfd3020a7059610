/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/quiesce.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/loop.h"

/* How often to look whether DMA is over, and whether a device that failed has let go. */
enum { POLL_NS = 500000, FAILED_POLL_NS = 100000000 };

struct quiesce {
	struct viommu_inval *inval;
	struct loop *loop;
	struct loop_work work;
	int timer_fd;
	struct loop_watch timer;
	/* Its entries: REGISTRY_MASTER_OFF of the devices asked for, `quiescing` of those that `inval` waits for. */
	struct registry *registry;
	/* I/O thread only. */
	bool waits; /* `inval` waits for some device */
	bool later; /* some of those asked for cannot be waited for now */
};

static void arm(struct quiesce *quiesce, long ns)
{
	const struct itimerspec time = {.it_value.tv_nsec = ns};

	timerfd_settime(quiesce->timer_fd, 0, &time, NULL);
}

/* With the device's lock held, so that it cannot be told of an earlier end. */
void quiesce_master_off(struct quiesce *quiesce, struct pci_dev *dev)
{
	if (registry_note(quiesce->registry, pci_requester_id(dev->bus, dev->devfn), REGISTRY_MASTER_OFF))
		loop_post(quiesce->loop, &quiesce->work);
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

/* Its DMA is over; but a function that was asked for again meanwhile has to wait again. */
static void tell(struct registered *entry)
{
	mutex_take(&entry->dev->lock);
	if (!asked(entry))
		pci_dma_idle_locked(entry->dev);
	mutex_drop(&entry->dev->lock);
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
		if (ret)
			ask_again(quiesce, entry);
		else
			tell(entry);
	}
	quiesce->waits = false;
	return ret;
}

static void run(void *opaque)
{
	struct quiesce *quiesce = opaque;

	if (!quiesce->waits)
		begin(quiesce);
	if (advance(quiesce) == -EAGAIN)
		arm(quiesce, POLL_NS);
	else if (any_asked(quiesce))
		arm(quiesce, quiesce->later ? FAILED_POLL_NS : 1);
}

static void timer_ready(void *opaque, uint32_t events)
{
	struct quiesce *quiesce = opaque;
	uint64_t count;

	(void)events;
	if (read(quiesce->timer_fd, &count, sizeof(count)) == sizeof(count))
		run(quiesce);
}

static int init(struct quiesce *quiesce, struct viommu *v)
{
	int err;

	quiesce->work = (struct loop_work){.run = run, .opaque = quiesce};
	quiesce->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (quiesce->timer_fd < 0)
		return -errno;
	quiesce->timer = (struct loop_watch){.fd = quiesce->timer_fd, .ready = timer_ready, .opaque = quiesce};
	err = loop_add(quiesce->loop, &quiesce->timer, EPOLLIN);
	if (err)
		goto err_close;
	err = viommu_inval_create(v, &quiesce->inval);
	if (err)
		goto err_watch;
	return 0;

err_watch:
	loop_remove(quiesce->loop, &quiesce->timer);
err_close:
	close(quiesce->timer_fd);
	return err;
}

int quiesce_create(struct viommu *v, struct loop *loop, struct registry *registry, struct quiesce **out)
{
	struct quiesce *quiesce = calloc(1, sizeof(*quiesce));
	int err;

	if (!quiesce)
		return -ENOMEM;
	quiesce->loop = loop;
	quiesce->registry = registry;
	err = init(quiesce, v);
	if (err)
		free(quiesce);
	else
		*out = quiesce;
	return err;
}

void quiesce_destroy(struct quiesce *quiesce)
{
	if (!quiesce)
		return;
	viommu_inval_destroy(quiesce->inval);
	loop_cancel(quiesce->loop, &quiesce->work);
	loop_remove(quiesce->loop, &quiesce->timer);
	close(quiesce->timer_fd);
	free(quiesce);
}
