/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/host/hostile/peer.h"

#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void peer_init(struct peer *peer, int fd, uint64_t features, uint64_t protocol)
{
	peer->back = (struct back){.features = features, .protocol = protocol, .queues = 2, .open = true};
	for (unsigned i = 0; i < VHU_REGIONS_MAX; i++) {
		peer->back.memory_fds[i] = -1;
		peer->regions[i] = NULL;
	}
	for (unsigned i = 0; i < VHU_TEST_RINGS; i++)
		peer->rings[i] = (struct peer_ring){PEER_NO_RING, PEER_NO_RING, PEER_NO_RING, false, 0};
	peer->epochs = -1;
	if (channel_init(&peer->back.channel, fd, NULL))
		abort();
}

static void unmap_regions(struct peer *peer)
{
	for (unsigned i = 0; i < VHU_REGIONS_MAX; i++) {
		if (peer->regions[i])
			munmap(peer->regions[i], peer->back.memory.regions[i].size);
		peer->regions[i] = NULL;
	}
}

void peer_fini(struct peer *peer)
{
	unmap_regions(peer);
	back_close(&peer->back);
}

static int keep(struct peer *peer, int fd)
{
	int own = peer->kept_count < PEER_KEPT ? dup(fd) : -1;

	if (own >= 0)
		peer->kept[peer->kept_count++] = own;
	return own;
}

static void map_regions(struct peer *peer, const struct vhu_memory *memory, const int *fds)
{
	unmap_regions(peer);
	for (unsigned i = 0; i < memory->count && i < VHU_REGIONS_MAX; i++) {
		const struct vhu_region *region = &memory->regions[i];
		void *at = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i],
				(off_t)region->mmap_offset);

		peer->regions[i] = at == MAP_FAILED ? NULL : at;
	}
}

static void note_ring(struct peer *peer, const struct channel_message *message, int fd)
{
	struct peer_ring *ring = &peer->rings[message->u64 % VHU_TEST_RINGS];

	switch (message->header.request) {
	case VHU_SET_VRING_KICK:
		ring->kick = fd;
		break;
	case VHU_SET_VRING_CALL:
		ring->call = fd;
		break;
	case VHU_SET_VRING_ERR:
		ring->err = fd;
		break;
	}
}

void peer_note(struct peer *peer, const struct channel_message *message)
{
	int fd = -1;

	for (unsigned i = 0; i < message->fd_count; i++)
		fd = keep(peer, message->fds[i]);
	note_ring(peer, message, fd);
	if (message->header.request == VHU_SET_SHARED_TABLE)
		peer->epochs = fd;
	if (message->header.request == VHU_SET_MEM_TABLE)
		map_regions(peer, &message->memory, message->fds);
	if (message->header.request == VHU_SET_VRING_ENABLE) {
		peer->rings[message->state.index % VHU_TEST_RINGS].on = message->state.num;
		peer->rings[message->state.index % VHU_TEST_RINGS].seen =
			(uint16_t)peer->back.bases[message->state.index % VHU_TEST_RINGS];
	}
	if (message->header.request == VHU_GET_VRING_BASE)
		peer->rings[message->state.index % VHU_TEST_RINGS].on = false;
}

bool peer_running(const struct peer *peer)
{
	for (unsigned i = 0; i < VHU_TEST_RINGS; i++)
		if (peer->rings[i].on)
			return true;
	return false;
}

/* With an IOMMU that lets everything through, an address is the guest's; without one, the front end's. */
static void *at(struct peer *peer, uint64_t address, uint64_t bytes)
{
	bool platform = peer->back.acked_features >> 33 & 1;

	for (unsigned i = 0; i < peer->back.memory.count; i++) {
		const struct vhu_region *region = &peer->back.memory.regions[i];
		uint64_t first = platform ? region->guest_address : region->user_address;

		if (peer->regions[i] && address >= first && bytes <= region->size &&
		    address - first <= region->size - bytes)
			return peer->regions[i] + (address - first);
	}
	return NULL;
}

static void serve_ring(struct peer *peer, unsigned index)
{
	struct peer_ring *ring = &peer->rings[index];
	const struct vhu_vring_addr *addr = &peer->back.addrs[index];
	const uint32_t size = peer->back.sizes[index];
	struct vring_avail *avail = at(peer, addr->avail, 4 + 2ull * size);
	struct vring_used *used = at(peer, addr->used, 4 + 8ull * size);
	const uint64_t one = 1;

	if (!avail || !used || !size || __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) == ring->seen)
		return;
	while (ring->seen != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
		used->ring[used->idx % size] = (struct vring_used_elem){avail->ring[ring->seen++ % size], UINT32_MAX};
		__atomic_store_n(&used->idx, (uint16_t)(used->idx + 1), __ATOMIC_RELEASE);
	}
	if (ring->call >= 0 && write(ring->call, &one, sizeof(one)) < 0)
		ring->call = PEER_NO_RING;
}

void peer_serve_rings(struct peer *peer)
{
	for (unsigned i = 0; i < VHU_TEST_RINGS; i++)
		if (peer->rings[i].on)
			serve_ring(peer, i);
}

static unsigned count(const uint8_t *bytes, size_t size, const char *pattern)
{
	const size_t length = strlen(pattern);
	unsigned found = 0;

	for (const uint8_t *hit = bytes; (hit = memmem(hit, size - (size_t)(hit - bytes), pattern, length)); hit++)
		found++;
	return found;
}

/* By reading too, where mapping is not allowed. */
static unsigned search(int fd, const char *pattern, uint64_t *bytes)
{
	struct stat stat;
	unsigned found = 0;

	if (fstat(fd, &stat) || stat.st_size <= 0)
		return 0;
	size_t size = (size_t)stat.st_size;
	uint8_t *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		mapped = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		return 0;
	*bytes += size;
	found = count(mapped, size, pattern);
	munmap(mapped, size);
	return found;
}

unsigned peer_search(const struct peer *peer, const char *pattern, uint64_t *bytes)
{
	unsigned found = 0;

	*bytes = 0;
	for (unsigned i = 0; i < peer->kept_count; i++)
		found += search(peer->kept[i], pattern, bytes);
	return found;
}
