/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wiring/quiesce.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "vmm/layout/layout.h"
#include "vmm/pci/pci.h"
#include "vmm/util/loop.h"

/* How often to look whether DMA is over, and whether a device that failed has let go. */
enum { POLL_NS = 500000, FAILED_POLL_NS = 100000000 };

struct quiesce {
	struct viommu_inval *inval;
	struct loop *loop;
	struct loop_work work;
	int timer_fd;
	struct loop_watch timer;
	struct pci_dev *_Atomic devices[LAYOUT_PCI_SLOTS]; /* by slot; set before their bit in `asked` */
	/* A bit for each slot. Set with the device's lock held, so that it cannot be told of an earlier end. */
	_Atomic uint32_t asked;
	/* I/O thread only. */
	uint32_t waited_for; /* by `inval` */
	bool later;          /* some of those in `asked` cannot be waited for now */
};

static void arm(struct quiesce *quiesce, long ns)
{
	const struct itimerspec time = {.it_value.tv_nsec = ns};

	timerfd_settime(quiesce->timer_fd, 0, &time, NULL);
}

void quiesce_master_off(struct quiesce *quiesce, struct pci_dev *dev)
{
	const unsigned slot = dev->devfn >> 3;

	atomic_store_explicit(&quiesce->devices[slot], dev, memory_order_relaxed);
	/* Release: partner of the acquire in begin(); the device, and that it must not go on, come before. */
	atomic_fetch_or_explicit(&quiesce->asked, 1u << slot, memory_order_release);
	loop_post(quiesce->loop, &quiesce->work);
}

/* Ask for all that were noted. A device that failed, or for which there is no memory, is asked for again later. */
static void begin(struct quiesce *quiesce)
{
	const uint32_t asked = atomic_exchange_explicit(&quiesce->asked, 0, memory_order_acquire);
	uint32_t refused = 0;

	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++) {
		const uint32_t bit = 1u << slot;

		if (!(asked & bit))
			continue;
		if (viommu_quiesce(quiesce->devices[slot]->endpoint, quiesce->inval))
			refused |= bit;
		else
			quiesce->waited_for |= bit;
	}
	quiesce->later = refused;
	atomic_fetch_or_explicit(&quiesce->asked, refused, memory_order_release);
	viommu_inval_begin(quiesce->inval);
}

/* Their DMA is over; but who was asked for again meanwhile has to wait again. */
static void tell(struct quiesce *quiesce)
{
	for (unsigned slot = 0; slot < LAYOUT_PCI_SLOTS; slot++) {
		struct pci_dev *dev = quiesce->devices[slot];

		if (!(quiesce->waited_for >> slot & 1))
			continue;
		mutex_take(&dev->lock);
		if (!(atomic_load_explicit(&quiesce->asked, memory_order_relaxed) >> slot & 1))
			pci_dma_idle_locked(dev);
		mutex_drop(&dev->lock);
	}
	quiesce->waited_for = 0;
}

/* Nothing is told to devices that passed their deadline before they have let go: they are asked for again. */
static int advance(struct quiesce *quiesce)
{
	int ret = viommu_inval_poll(quiesce->inval);

	if (!ret) {
		tell(quiesce);
	} else if (ret == -ETIMEDOUT) {
		atomic_fetch_or_explicit(&quiesce->asked, quiesce->waited_for, memory_order_release);
		quiesce->waited_for = 0;
		quiesce->later = true;
	}
	return ret;
}

static void run(void *opaque)
{
	struct quiesce *quiesce = opaque;

	if (!quiesce->waited_for)
		begin(quiesce);
	if (advance(quiesce) == -EAGAIN)
		arm(quiesce, POLL_NS);
	else if (atomic_load_explicit(&quiesce->asked, memory_order_relaxed))
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

int quiesce_create(struct viommu *v, struct loop *loop, struct quiesce **out)
{
	struct quiesce *quiesce = calloc(1, sizeof(*quiesce));
	int err;

	if (!quiesce)
		return -ENOMEM;
	quiesce->loop = loop;
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
