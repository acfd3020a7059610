/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network device between a driver and a tap that a test plays: registers through the BAR, rings in plain memory that
 * the device reaches by its endpoint, and instead of each queue of a tap a pair of sockets that keep frames apart.
 */
#ifndef TESTS_SUPPORT_NET_DRIVER_H
#define TESTS_SUPPORT_NET_DRIVER_H

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include <viommu/viommu.h>

#include "tests/support/test.h"
#include "vmm/virtio/net.h"

enum { RAM_SIZE = 8 << 20, RINGS = 1 << 20, BUFFERS = 2 << 20, BUFFER_SIZE = 0x10000 };

struct net_fixture {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_endpoint *endpoint;
	struct loop *loop;
	struct pci_dev *pci;
	struct virtio_net *net;
	uint8_t *ram;
	int tap[NET_MAX_PAIRS]; /* our ends */
	uint16_t used[2 * NET_MAX_PAIRS + 1];
	uint64_t without;       /* what net_boot() leaves out all the same */
	enum polling_mode poll; /* of a device that net_boot() makes */
	unsigned faults;
};

/* What the tap was told; see net_driver.c. */
struct fake_tap {
	int peer[NET_MAX_PAIRS], own[NET_MAX_PAIRS];
	bool attached[NET_MAX_PAIRS];
	unsigned offloads, mtu;
};
extern struct fake_tap fake_tap;

int net_setup(void **state);
int net_teardown(void **state);

/* Make the device with so many queue pairs, and start it with what is both offered and in `features`. */
void net_boot(struct net_fixture *f, unsigned pairs, uint64_t features);
/* The same with a device that the test has put into f->pci, of whatever kind; f->net is NULL then. */
void net_start_device(struct net_fixture *f, uint64_t features);
/* Only that, up to DRIVER_OK, with rings as they are: somebody else runs the loop. */
void net_begin_device(struct net_fixture *f, uint64_t features);
/* Describe a queue of empty rings to the device, and enable it. */
void net_set_queue(struct net_fixture *f, unsigned queue);
struct vring net_ring(struct net_fixture *f, unsigned queue);
void net_device_reset(struct net_fixture *f);
/* Reset one queue, and begin it anew with empty rings. */
void net_queue_reset_and_enable(struct net_fixture *f, unsigned queue);

uint64_t net_reg(struct net_fixture *f, uint64_t offset, unsigned size);
uint8_t net_status(struct net_fixture *f);

/* A chain of one buffer at ram + address is made available; further ones with `next` of the one before. */
void net_add(struct net_fixture *f, unsigned queue, uint64_t address, uint32_t len, bool writable);
/* A readable part, then a writable one. */
void net_add_command(struct net_fixture *f, unsigned queue, const void *bytes, uint32_t len, uint32_t room);
/* Notify, and let the device work until it waits. */
void net_kick_queue(struct net_fixture *f, unsigned queue);
void net_settle(struct net_fixture *f);

/* Is there a used chain that net_used() has not given? Also while the loop runs in another thread. */
bool net_is_used(const struct net_fixture *f, unsigned queue);
/* The next used chain's length, and its buffer's address. False: there is none. */
bool net_used(struct net_fixture *f, unsigned queue, uint32_t *len, uint64_t *address);

/* The tap gives a frame with this header, all of its bytes derived from `seed`; and the same bytes for a comparison. */
void net_frame_comes(struct net_fixture *f, unsigned pair, const struct virtio_net_hdr *header, size_t len,
		     uint8_t seed);
uint8_t net_byte(size_t index, uint8_t seed);

#endif
