/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine without a guest: the monitor's wiring of an IOMMU, its driver, and a device behind it that a test plays.
 * The deadline is far away, and the loop runs only when a test wants it to.
 */
#ifndef TESTS_SUPPORT_WIRED_H
#define TESTS_SUPPORT_WIRED_H

#include <pthread.h>

#include "tests/support/board.h"
#include "tests/support/net_driver.h"
#include "vmm/config/iommu.h"
#include "vmm/kvm/ram.h"
#include "vmm/pci/pci.h"

enum { WIRED_SLOT = 5, WIRED_DOMAIN = 1, WIRED_PAGE = 4096, WIRED_PATIENCE_MS = 10000 };

struct wired {
	struct net_fixture net; /* the virtio-iommu's driver */
	struct ram ram;
	struct board board;
	struct pci_root *root;
	struct registry *registry;
	struct progress *progress;
	struct iommu_wiring *wiring;
	struct pci_dev dev; /* behind the IOMMU */
	pthread_t thread;
};

struct wired *wired_create(const struct iommu_config *config);
void wired_destroy(struct wired *w);

/* A virtio-iommu whose driver accepts these features; it is placed where wired_notify() reaches it. */
struct wired *wired_create_virtio(enum polling_mode poll, uint64_t features);

/* The loop runs in a thread of its own, and does no more. */
void wired_begin_loop(struct wired *w);
void wired_end_loop(struct wired *w);

void wired_nap(unsigned ms);
/* Wait until it is so: true, or false if it never is. */
bool wired_comes_about(struct wired *w, bool (*is)(struct wired *w));

/* The device reaches its first page; held after the section, where @hold is given. */
void wired_use_page(struct wired *w, struct viommu_section *section, struct viommu_span *span,
		    struct viommu_hold *hold);
/* Does it reach this address now? */
bool wired_reaches(struct wired *w, uint64_t iova);

/* Requests as they lie in memory; those of a page are for this one, at the same address. Their sizes. */
uint32_t wired_attach(uint8_t *request);
uint32_t wired_map(uint8_t *request, unsigned page);
uint32_t wired_unmap(uint8_t *request, unsigned page);

/* Bus mastering of the virtio-iommu. */
void wired_master(struct wired *w, bool on);
/* A vCPU notifies the virtio-iommu's queue. Any thread. */
void wired_notify(struct wired *w, unsigned queue);
/* Is there an answer that wired_expect_answer() has not seen? Also while the loop runs. */
bool wired_answered(struct wired *w);
/* There is, and it says OK. */
void wired_expect_answer(struct wired *w);

#endif
