/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine without a guest, of real devices behind the monitor's wiring: a virtio-iommu, a disk, an entropy device, a
 * device whose back end is isolated, and one behind the IOMMU that the target plays. Time passes as the target says.
 * After each settling the machine is checked: what must hold whatever a driver does.
 */
#ifndef FUZZ_MACHINE_H
#define FUZZ_MACHINE_H

#include <linux/virtio_ring.h>

#include "fuzz/fuzz.h"
#include "tests/support/board.h"
#include "tests/support/pci_bar.h"
#include "vmm/isolate/isolate.h"
#include "vmm/kvm/ram.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/virtio.h"

/*
 * Guest memory. Unless the guest's IOMMU decides, devices reach only what lies below READ_ONLY_FIRST, and may read what
 * lies below HIDDEN_FIRST. What begins at HOST_FIRST follows it in this process, and the guest has no address for it.
 */
enum {
	RINGS_FIRST = 0x10000,
	BUFFERS_FIRST = 0x30000,
	READ_ONLY_FIRST = 0x50000,
	HIDDEN_FIRST = 0x58000,
	HOST_FIRST = 0x60000,
	MEMORY_SIZE = 0x70000
};

enum { PAGE = 4096, IMAGE_SECTORS = 32, IMAGE_SIZE = IMAGE_SECTORS * 512 + 100, DISK_QUEUES = 3, MESSAGES = 64 };

enum machine_kind { KIND_IOMMU, KIND_DISK, KIND_RNG, KIND_ISOLATED, KINDS };

/* A device and what of it the driver takes care of (driver.h). */
struct device {
	struct machine *machine;
	enum machine_kind kind;
	struct pci_dev *pci; /* NULL: the machine has none */
	struct virtio_dev *dev;
	unsigned first_ring; /* of all devices' rings, RINGS_FIRST + this * BAR_QUEUE_BYTES */
};

struct machine {
	struct ram ram;
	struct board board;
	struct loop *loop;
	struct loop_work turn;
	unsigned turns;
	struct registry *registry;
	struct progress *progress;
	struct pci_root *root;
	struct iommu_wiring *wiring;
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_domain *domain;
	struct device devices[KINDS];
	bool managed;  /* the guest's IOMMU says what devices reach */
	bool readonly; /* the disk */
	int image;     /* its file, as it is on the host */
	struct virtio_blk *disk;
	bool shrunk; /* somebody on the host has cut the file */
	/* The device that the target plays: a page that it uses. */
	struct pci_dev played;
	struct viommu_hold hold;
	bool holds;
	unsigned held_page;
	/* Of the isolated device. */
	struct virtio_dev *isolated;
	struct isolation *isolation;
	struct {
		bool honest, broken; /* it keeps to the rules; it was found not to */
		uint16_t seen, used;
	} back_end;
	uint8_t secret[SECRET_SIZE]; /* what the hidden memory is full of */
	unsigned messages[MESSAGES]; /* that were sent, by their low bits */
};

/* What a machine is made of comes from the tape. */
struct machine *machine_create(struct tape *tape);
void machine_destroy(struct machine *machine);

/* The isolated device's next back end: its rings begin at 0. */
void machine_new_back_end(struct machine *machine);

/* One turn of the loop. */
void machine_turn(struct machine *machine);
/* Until nothing is left to do; then all checks. */
void machine_settle(struct machine *machine);
void machine_pass_time(struct machine *machine, unsigned ms);

/* Somebody on the host makes the disk's file shorter, until the machine ends. */
void machine_shrink_image(struct machine *machine);

/* True: the driver has started the device, which has not failed since. */
bool device_serves(const struct device *device);

/* True: devices may read, or write, all of this range, unless the guest decides about it (managed). */
bool machine_reaches(uint64_t first, uint64_t len, bool write);

/* The played device begins to use a page, where it can, and ends it. */
void machine_hold(struct machine *machine, unsigned page);
void machine_release(struct machine *machine);
/* True: it can write to this address now. */
bool machine_played_reaches(struct machine *machine, uint64_t iova);

#endif
