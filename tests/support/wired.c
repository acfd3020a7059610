/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/wired.h"

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/spec/virtio_iommu.h"
#include "lib/util/le.h"
#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/registry/registry.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/internal.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/progress.h"

enum { FAR_MS = 10000000 };

static uint64_t no_registers(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	(void)dev, (void)bar, (void)offset, (void)size;
	return 0;
}

static void device_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static const struct pci_ops device_ops = {.bar_read = no_registers, .destroy = device_destroy};
static const struct pci_ids device_ids = {.vendor = 0x1234, .device = 0x5678};

static void create_machine(struct wired *w)
{
	assert_int_equal(ram_init(&w->ram, RAM_SIZE), 0);
	w->net.ram = w->ram.base;
	assert_int_equal(loop_create(&w->net.loop), 0);
	board_create(&w->board);
	assert_int_equal(registry_create(&w->registry), 0);
	assert_int_equal(progress_create(w->net.loop, FAR_MS, &w->progress), 0);
	const struct pci_root_config root = {.mmio = w->board.mmio,
					     .pio = w->board.pio,
					     .irqchip = w->board.chip,
					     .bar64 = 1ull << 40,
					     .bar64_size = 1 << 30};

	assert_int_equal(pci_root_create(&root, &w->root), 0);
}

struct wired *wired_create(const struct iommu_config *config)
{
	struct wired *w = calloc(1, sizeof(*w));

	create_machine(w);
	const struct virtio_env env = {.loop = w->net.loop};
	const struct iommu_machine machine = {.ram = &w->ram,
					      .loop = w->net.loop,
					      .mmio = w->board.mmio,
					      .irqchip = w->board.chip,
					      .registry = w->registry,
					      .progress = w->progress};
	struct pci_bus *bus = pci_root_bus(w->root);

	assert_int_equal(iommu_wiring_create(config, &machine, &w->wiring), 0);
	assert_int_equal(iommu_wiring_add_unit(w->wiring, &env, bus), 0);
	assert_int_equal(pci_dev_init(&w->dev, &device_ops, &device_ids), 0);
	assert_int_equal(iommu_wiring_add_device(w->wiring, bus, WIRED_SLOT << 3, &w->dev, true, NULL), 0);
	pci_root_config_write(w->root, 0, WIRED_SLOT << 3, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	return w;
}

void wired_destroy(struct wired *w)
{
	pci_root_destroy(w->root);
	iommu_wiring_destroy(w->wiring);
	registry_destroy(w->registry);
	progress_destroy(w->progress);
	board_destroy(&w->board);
	loop_destroy(w->net.loop);
	ram_fini(&w->ram);
	free(w);
}

void wired_master(struct wired *w, bool on)
{
	pci_root_config_write(w->root, 0, IOMMU_SLOT << 3, PCI_COMMAND,
			      PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0), 2);
}

struct wired *wired_create_virtio(enum polling_mode poll, uint64_t features)
{
	struct wired *w = wired_create(&(struct iommu_config){.kind = IOMMU_VIRTIO, .poll = poll});

	w->net.pci = registry_find(w->registry, IOMMU_SLOT << 3)->dev;
	w->net.endpoint = w->net.pci->endpoint;
	net_start_device(&w->net, features);
	pci_root_config_write(w->root, 0, IOMMU_SLOT << 3, PCI_BASE_ADDRESS_0, LAYOUT_PCI32, 4);
	wired_master(w, true);
	net_settle(&w->net); /* it kicks all queues */
	return w;
}

static void *run_loop(void *opaque)
{
	struct wired *w = opaque;

	assert_int_equal(loop_run(w->net.loop), 0);
	return NULL;
}

void wired_begin_loop(struct wired *w)
{
	assert_int_equal(pthread_create(&w->thread, NULL, run_loop, w), 0);
}

void wired_end_loop(struct wired *w)
{
	loop_stop(w->net.loop);
	pthread_join(w->thread, NULL);
}

void wired_nap(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000l}, NULL);
}

bool wired_comes_about(struct wired *w, bool (*is)(struct wired *w))
{
	for (unsigned i = 0; i < WIRED_PATIENCE_MS && !is(w); i++)
		wired_nap(1);
	return is(w);
}

void wired_use_page(struct wired *w, struct viommu_section *section, struct viommu_span *span, struct viommu_hold *hold)
{
	assert_int_equal(viommu_dma_begin(w->dev.endpoint, section), 0);
	assert_int_equal(viommu_dma_translate(section, (struct viommu_iova){0}, WIRED_PAGE, VIOMMU_WRITE, span), 0);
	if (!hold)
		return;
	*hold = (struct viommu_hold){0};
	viommu_dma_hold(section, hold, span, 1);
	viommu_dma_end(section);
}

bool wired_reaches(struct wired *w, uint64_t iova)
{
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_dma_begin(w->dev.endpoint, &section), 0);
	int err = viommu_dma_translate(&section, (struct viommu_iova){iova}, 1, VIOMMU_WRITE, &span);

	viommu_dma_end(&section);
	return !err;
}

uint32_t wired_attach(uint8_t *request)
{
	memset(request, 0, VIO_ATTACH_SIZE);
	request[0] = VIO_T_ATTACH;
	le32_put(request + VIO_ATTACH_DOMAIN, WIRED_DOMAIN);
	le32_put(request + VIO_ATTACH_ENDPOINT, WIRED_SLOT << 3);
	return VIO_ATTACH_SIZE;
}

uint32_t wired_map(uint8_t *request, unsigned page)
{
	const uint64_t first = (uint64_t)page * WIRED_PAGE;

	memset(request, 0, VIO_MAP_SIZE);
	request[0] = VIO_T_MAP;
	le32_put(request + VIO_MAP_DOMAIN, WIRED_DOMAIN);
	le64_put(request + VIO_MAP_VIRT_START, first);
	le64_put(request + VIO_MAP_VIRT_END, first + WIRED_PAGE - 1);
	le64_put(request + VIO_MAP_PHYS_START, first);
	le32_put(request + VIO_MAP_FLAGS, VIO_MAP_F_READ | VIO_MAP_F_WRITE);
	return VIO_MAP_SIZE;
}

uint32_t wired_unmap(uint8_t *request, unsigned page)
{
	const uint64_t first = (uint64_t)page * WIRED_PAGE;

	memset(request, 0, VIO_UNMAP_SIZE);
	request[0] = VIO_T_UNMAP;
	le32_put(request + VIO_UNMAP_DOMAIN, WIRED_DOMAIN);
	le64_put(request + VIO_UNMAP_VIRT_START, first);
	le64_put(request + VIO_UNMAP_VIRT_END, first + WIRED_PAGE - 1);
	return VIO_UNMAP_SIZE;
}

void wired_notify(struct wired *w, unsigned queue)
{
	bus_write(w->board.mmio, LAYOUT_PCI32 + VIRTIO_NOTIFY + queue * VIRTIO_NOTIFY_MULTIPLIER, queue, 2);
}

bool wired_answered(struct wired *w)
{
	return net_is_used(&w->net, VIOMMU_VIRTIO_REQUESTQ);
}

void wired_expect_answer(struct wired *w)
{
	uint64_t address;
	uint32_t used;

	assert_true(net_used(&w->net, VIOMMU_VIRTIO_REQUESTQ, &used, &address));
	assert_int_equal(used, VIO_TAIL_SIZE);
	assert_int_equal(w->net.ram[BUFFERS + BUFFER_SIZE], VIO_S_OK);
}
