/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A user-space driver of the edu device that does what it may, and then what it may not. One line on stdout says what
 * was seen. Status: 0 the IOMMU did its duty, 1 it did not, 2 it could not be tried.
 */
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>

#include "edu.h"
#include "page.h"
#include "vfio.h"

#define READ VFIO_DMA_MAP_FLAG_READ
#define WRITE VFIO_DMA_MAP_FLAG_WRITE

#define IOVA_A 0x10000000ull
#define IOVA_B 0x20000000ull
#define IOVA_WILD 0x12345000ull
#define SIZE 2048u

enum { OK = 0, BROKEN = 1, UNTRIED = 2 };

/* Two pages of our own, and the device. */
struct rig {
	struct vfio vfio;
	struct edu edu;
	uint8_t *a, *b;
	const char *action;
};

struct action {
	const char *name;
	int (*run)(struct rig *rig);
};

static int say(const struct rig *rig, int status, const char *what)
{
	static const char *const words[] = {"ok", "BROKEN", "untried"};

	printf("edu-vfio: %s: %s: %s\n", rig->action, words[status], what);
	return status;
}

static int from_ram(const struct rig *rig, uint64_t iova)
{
	return edu_dma(&rig->edu, iova, SIZE, 0);
}

static int to_ram(const struct rig *rig, uint64_t iova)
{
	return edu_dma(&rig->edu, iova, SIZE, 1);
}

static int map_page(const struct rig *rig, uint8_t *page, uint64_t iova, uint32_t prot)
{
	return vfio_map(&rig->vfio, page, PAGE_BYTES, iova, prot);
}

/* The device's buffer gets what page b holds, which is mapped at IOVA_B. */
static int load_buffer(const struct rig *rig, uint8_t seed)
{
	page_fill(rig->b, seed);
	return from_ram(rig, IOVA_B);
}

/* Whether the device's buffer holds that pattern; page b is overwritten to find out. */
static int buffer_is(const struct rig *rig, uint8_t seed, bool *is)
{
	int err;

	page_fill(rig->b, (uint8_t)~seed);
	err = to_ram(rig, IOVA_B);
	*is = page_is(rig->b, seed, SIZE);
	return err;
}

static int run_allowed(struct rig *rig)
{
	if (map_page(rig, rig->a, IOVA_A, READ | WRITE) || map_page(rig, rig->b, IOVA_B, READ | WRITE))
		return say(rig, UNTRIED, "cannot map");
	page_fill(rig->a, 1);
	page_fill(rig->b, 2);
	if (from_ram(rig, IOVA_A) || to_ram(rig, IOVA_B))
		return say(rig, BROKEN, "DMA did not finish");
	if (!page_is(rig->a, 1, PAGE_BYTES))
		return say(rig, BROKEN, "DMA finished, the source changed");
	if (!page_is(rig->b, 1, SIZE))
		return say(rig, BROKEN, "DMA finished, the target did not get the data");
	return say(rig, OK, "DMA finished, the target has the data");
}

/* Page a was mapped at IOVA_A, where DMA worked, and is no more. */
static int unmap(struct rig *rig)
{
	if (map_page(rig, rig->a, IOVA_A, READ | WRITE) || map_page(rig, rig->b, IOVA_B, READ | WRITE))
		return say(rig, UNTRIED, "cannot map");
	page_fill(rig->a, 3);
	if (load_buffer(rig, 6) || to_ram(rig, IOVA_A))
		return say(rig, BROKEN, "DMA did not finish");
	if (!page_is(rig->a, 6, SIZE))
		return say(rig, UNTRIED, "DMA does not work while it is mapped");
	if (vfio_unmap(&rig->vfio, PAGE_BYTES, IOVA_A))
		return say(rig, UNTRIED, "cannot unmap");
	page_fill(rig->a, 4);
	return OK;
}

static int run_unmapped_write(struct rig *rig)
{
	int err = unmap(rig);

	if (err)
		return err;
	if (load_buffer(rig, 5) || to_ram(rig, IOVA_A))
		return say(rig, BROKEN, "DMA did not finish");
	if (!page_is(rig->a, 4, PAGE_BYTES))
		return say(rig, BROKEN, "DMA finished, memory changed");
	return say(rig, OK, "DMA finished, memory unchanged");
}

static int run_unmapped_read(struct rig *rig)
{
	bool leaked;
	int err = unmap(rig);

	if (err)
		return err;
	if (load_buffer(rig, 5) || from_ram(rig, IOVA_A) || buffer_is(rig, 4, &leaked))
		return say(rig, BROKEN, "DMA did not finish");
	if (leaked)
		return say(rig, BROKEN, "DMA finished, the device has read the memory");
	return say(rig, OK, "DMA finished, memory unread");
}

static int run_readonly(struct rig *rig)
{
	bool arrived;

	if (map_page(rig, rig->a, IOVA_A, READ) || map_page(rig, rig->b, IOVA_B, READ | WRITE))
		return say(rig, UNTRIED, "cannot map");
	page_fill(rig->a, 7);
	if (load_buffer(rig, 8) || to_ram(rig, IOVA_A))
		return say(rig, BROKEN, "DMA did not finish");
	if (!page_is(rig->a, 7, PAGE_BYTES))
		return say(rig, BROKEN, "DMA finished, memory changed");
	if (from_ram(rig, IOVA_A) || buffer_is(rig, 7, &arrived))
		return say(rig, BROKEN, "DMA did not finish");
	if (!arrived)
		return say(rig, BROKEN, "memory unchanged, but the device cannot read it either");
	return say(rig, OK, "DMA finished, memory unchanged, and the device can read it");
}

/* Where nothing was ever mapped. */
static int write_to(struct rig *rig, uint64_t address)
{
	if (map_page(rig, rig->b, IOVA_B, READ | WRITE))
		return say(rig, UNTRIED, "cannot map");
	page_fill(rig->a, 9);
	if (load_buffer(rig, 10) || to_ram(rig, address))
		return say(rig, BROKEN, "DMA did not finish");
	if (!page_is(rig->a, 9, PAGE_BYTES) || !page_is(rig->b, 10, PAGE_BYTES))
		return say(rig, BROKEN, "DMA finished, memory changed");
	return say(rig, OK, "DMA finished, memory unchanged");
}

/* The guest-physical address of a page of ours is no address to the device. */
static int run_physical(struct rig *rig)
{
	uint64_t physical;

	if (page_physical(rig->a, &physical))
		return say(rig, UNTRIED, "the physical address of a page is not known");
	return write_to(rig, physical);
}

static int run_wild(struct rig *rig)
{
	return write_to(rig, IOVA_WILD);
}

static const struct action actions[] = {
	{"allowed", run_allowed},
	{"unmapped-write", run_unmapped_write},
	{"unmapped-read", run_unmapped_read},
	{"readonly", run_readonly},
	{"physical", run_physical},
	{"wild", run_wild},
};

static int open_rig(struct rig *rig, const char *name)
{
	if (vfio_open(&rig->vfio, name))
		return -1;
	rig->edu = (struct edu){.file = rig->vfio.device, .offset = rig->vfio.bar0_offset};
	rig->a = page_alloc();
	rig->b = page_alloc();
	if (!rig->a || !rig->b) {
		fprintf(stderr, "edu-vfio: no memory\n");
		return -1;
	}
	if (rig->vfio.bar0_size < EDU_BAR_SIZE || edu_check(&rig->edu)) {
		fprintf(stderr, "edu-vfio: %s is no edu device\n", name);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct rig rig = {.action = argc == 3 ? argv[2] : ""};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(rig.action, actions[i].name))
			continue;
		return open_rig(&rig, argv[1]) ? UNTRIED : actions[i].run(&rig);
	}
	fprintf(stderr, "usage: edu-vfio 0000:BB:DD.F allowed|unmapped-write|unmapped-read|readonly|physical|wild\n");
	return UNTRIED;
}
