/* SPDX-License-Identifier: BSD-2-Clause */
/* What the driver asks of each kind of device, and what has to come of it. */
#include <linux/virtio_blk.h>
#include <unistd.h>

#include "fuzz/driver.h"
#include "lib/spec/virtio_iommu.h"
#include "lib/util/le.h"
#include "vmm/virtio/blk_image.h"

/* Where requests lie: headers and status bytes, the IOMMU's requests, and data. */
enum {
	HEADERS = BUFFERS_FIRST,
	HEADERS_OF_RING = 0x200,
	STATUS_AT = 0x100,
	COMMANDS = BUFFERS_FIRST + 0x1000,
	COMMAND_SIZE = 0x400,
	ANSWER_AT = 0x100,
	DATA = BUFFERS_FIRST + 0x8000,
	INDIRECT_AT = 0x3000,
	DOMAIN = 1,
	OTHERS_DOMAIN = 2,
	RANDOM_MAX = 1024, /* vmm/virtio/rng.c */
	FILLER = 0x5c,
	PLAYED = 9 << 3
};

/* A chain on its way: the slot of its head says where its parts lie. */
struct chain {
	struct driver *driver;
	const struct device *device;
	unsigned queue, slot, count;
	struct vring_desc descs[CHAIN_DESCS];
	uint64_t room;
	uint8_t how; /* to notify, and whether the table is indirect */
	bool waits;  /* for its answer */
};

/*
 * The next slot; false: all are out, or the ring is not ours. One that waits for its answer begins when no device has
 * anything to do, so that nothing but its answer changes what it looks at.
 */
static bool chain_begin(struct chain *chain, struct driver *driver, const struct device *device, unsigned queue,
			struct tape *tape)
{
	const struct driver_ring *ring = driver_ring(driver, device, queue);
	const struct vring vring = driver_vring(driver, device, queue);

	if (!ring->tidy)
		return false;
	*chain = (struct chain){driver, device, queue, .slot = vring.avail->idx % HEADS, .how = tape_u8(tape)};
	chain->waits = chain->how & 1;
	if (chain->waits)
		driver_settle(driver);
	return !ring->out[chain->slot];
}

static void chain_add(struct chain *chain, uint64_t address, uint32_t len, bool writable)
{
	chain->descs[chain->count++] = (struct vring_desc){address, len, writable ? VRING_DESC_F_WRITE : 0, 0};
	chain->room += writable ? len : 0;
}

static void write_descs(const struct chain *chain, struct vring_desc *table, unsigned first)
{
	for (unsigned i = 0; i < chain->count; i++) {
		table[i] = chain->descs[i];
		if (i + 1 < chain->count) {
			table[i].flags |= VRING_DESC_F_NEXT;
			table[i].next = (uint16_t)(first + i + 1);
		}
	}
}

static void chain_offer(struct chain *chain)
{
	const struct vring vring = driver_vring(chain->driver, chain->device, chain->queue);
	struct driver_ring *ring = driver_ring(chain->driver, chain->device, chain->queue);
	struct vring_desc *head = &vring.desc[chain->slot * CHAIN_DESCS];

	if (chain->how & 2 && virtio_negotiated(chain->device->dev, VIRTIO_RING_F_INDIRECT_DESC)) {
		uint8_t *table = (uint8_t *)vring.desc + INDIRECT_AT + chain->slot * CHAIN_DESCS * sizeof(*head);

		write_descs(chain, (struct vring_desc *)table, 0);
		*head = (struct vring_desc){(uint64_t)(table - chain->driver->machine->ram.base),
					    chain->count * (uint32_t)sizeof(*head), VRING_DESC_F_INDIRECT, 0};
	} else {
		write_descs(chain, head, chain->slot * CHAIN_DESCS);
	}
	vring.avail->ring[vring.avail->idx % BAR_QUEUE_SIZE] = (uint16_t)(chain->slot * CHAIN_DESCS);
	vring.avail->idx++;
	ring->out[chain->slot] = true;
	ring->room[chain->slot] = chain->room;
	ring->offered++;
	ring->came = 0;
	driver_notify(chain->device, chain->queue, chain->how >> 2);
}

static uint8_t *memory(const struct chain *chain, uint64_t at)
{
	return chain->driver->machine->ram.base + at;
}

/* The interrupts of this queue that have come so far, without MSI-X 0 or 1. */
static unsigned interrupts(const struct chain *chain)
{
	const unsigned message = chain->device->kind * 8u + chain->queue + 1;

	if (chain->driver->messages[chain->device->kind])
		return chain->driver->machine->messages[message];
	return bar_get(chain->device->pci, VIRTIO_ISR, 1) & 1;
}

/*
 * Offer it and wait. True: it is back, and what is written there can be looked at; nothing else came in between, and
 * the driver was told.
 */
static bool chain_ask(struct chain *chain)
{
	const struct driver_ring *ring = driver_ring(chain->driver, chain->device, chain->queue);
	const struct device *device = chain->device;

	if (!chain->waits) {
		chain_offer(chain);
		return false;
	}
	const bool served = device->dev->running && device->dev->queues[chain->queue].vq.enabled &&
			    pci_bus_master(device->pci) && !ring->offered;
	const bool told = served && chain->driver->untouched[device->kind];
	unsigned before = interrupts(chain);

	if (!chain->driver->messages[device->kind])
		before = 0;
	chain_offer(chain);
	driver_settle(chain->driver);
	/* In memory that the guest's IOMMU takes away the rings may be, too. */
	CHECK(!served || device->dev->running || chain->driver->machine->managed, "the device has failed");
	if (!served || !ring->came)
		return false;
	CHECK(!told || interrupts(chain) > before, "no interrupt");
	return true;
}

/* The disk */

struct disk_request {
	uint32_t type, len;
	uint64_t sector, data;
};

/* In the data's part of memory, at its end and what lies behind, or anywhere. */
static uint64_t draw_place(struct tape *tape)
{
	const uint8_t kind = tape_u8(tape), at = tape_u8(tape);

	if (kind < 160)
		return DATA + at * 64u;
	if (kind < 190)
		return READ_ONLY_FIRST - at * 4u;
	if (kind < 220)
		return READ_ONLY_FIRST + at * 16u;
	if (kind < 240)
		return HIDDEN_FIRST - at * 4u;
	return tape_u64(tape) >> 16;
}

static void draw_disk_request(struct disk_request *request, struct tape *tape)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,  VIRTIO_BLK_T_OUT,   VIRTIO_BLK_T_IN,
					 VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID};
	const uint8_t kind = tape_u8(tape);

	request->type = kind % 7 == 6 ? tape_u32(tape) : types[kind % 7];
	request->sector = kind & 0x80 ? tape_u64(tape) : tape_below(tape, IMAGE_SECTORS + 2);
	request->len = kind & 0x40 ? tape_u16(tape) : tape_below(tape, 5) * BLK_SECTOR;
	if (kind & 0x20)
		request->len *= 8;
	request->len %= 0x10000;
	request->data = draw_place(tape);
}

static bool disk_has(const struct disk_request *request)
{
	return !(request->len % BLK_SECTOR) && request->sector <= IMAGE_SECTORS &&
	       request->len / BLK_SECTOR <= IMAGE_SECTORS - request->sector;
}

/* Section 5.2.6 */
static uint8_t disk_status(const struct machine *machine, const struct disk_request *request)
{
	const bool in = request->type == VIRTIO_BLK_T_IN;

	switch (request->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		if (!disk_has(request) || !machine_reaches(request->data, request->len, in))
			return VIRTIO_BLK_S_IOERR;
		return in || !machine->readonly ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_GET_ID:
		return machine_reaches(request->data,
				       request->len < VIRTIO_BLK_ID_BYTES ? request->len : VIRTIO_BLK_ID_BYTES, true)
			       ? VIRTIO_BLK_S_OK
			       : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void read_image(const struct machine *machine, uint8_t *image)
{
	CHECK(pread(machine->image, image, IMAGE_SIZE, 0) == IMAGE_SIZE, "not read");
}

/* The disk's file is as it was, but for what was written; what was read is what is there. */
static void check_disk_request(struct chain *chain, const struct disk_request *request, uint8_t *before)
{
	static uint8_t after[IMAGE_SIZE];
	const struct machine *machine = chain->driver->machine;
	const uint8_t status = *memory(chain, chain->descs[chain->count - 1].addr);
	const uint64_t at = request->sector * BLK_SECTOR;

	CHECK(status == disk_status(machine, request), "type %u, %u bytes, sector %llu: status %u", request->type,
	      request->len, (unsigned long long)request->sector, status);
	read_image(machine, after);
	if (status == VIRTIO_BLK_S_OK && request->type == VIRTIO_BLK_T_OUT)
		memcpy(before + at, memory(chain, request->data), request->len);
	CHECK(!memcmp(before, after, IMAGE_SIZE), "what was written is not what is on the disk");
	if (status == VIRTIO_BLK_S_OK && request->type == VIRTIO_BLK_T_IN) {
		CHECK(!memcmp(after + at, memory(chain, request->data), request->len), "what was read is not there");
		CHECK(driver_ring(chain->driver, chain->device, chain->queue)->newest.len == request->len + 1,
		      "length");
	}
}

/* Header, data in one or two pieces, and the status. */
static void add_disk_request(struct chain *chain, const struct disk_request *request, uint32_t first)
{
	const struct virtio_blk_outhdr header = {.type = request->type, .sector = request->sector};
	const uint64_t headers = HEADERS + (chain->device->first_ring + chain->queue) * HEADERS_OF_RING;
	const bool writable = request->type != VIRTIO_BLK_T_OUT;

	memcpy(memory(chain, headers + chain->slot * sizeof(header)), &header, sizeof(header));
	*memory(chain, headers + STATUS_AT + chain->slot) = NOT_ANSWERED;
	chain_add(chain, headers + chain->slot * sizeof(header), sizeof(header), false);
	if (first)
		chain_add(chain, request->data, first, writable);
	if (request->len - first)
		chain_add(chain, request->data + first, request->len - first, writable);
	chain_add(chain, headers + STATUS_AT + chain->slot, 1, true);
}

static void ask_disk(struct driver *driver, const struct device *device, struct tape *tape)
{
	static uint8_t before[IMAGE_SIZE];
	struct disk_request request;
	struct chain chain;

	if (!chain_begin(&chain, driver, device, tape_below(tape, device->dev->queue_count), tape))
		return;
	draw_disk_request(&request, tape);
	add_disk_request(&chain, &request, tape_u8(tape) & 1 ? request.len / 3 : 0);
	if (request.data < DATA && request.data + request.len > RINGS_FIRST)
		driver_forget_memory(driver, request.data, request.len);
	if (!driver->machine->shrunk)
		read_image(driver->machine, before);
	if (chain_ask(&chain) && !driver->machine->managed && !driver->machine->shrunk)
		check_disk_request(&chain, &request, before);
}

/* The entropy device */

static void ask_rng(struct driver *driver, const struct device *device, struct tape *tape)
{
	struct chain chain;

	if (!chain_begin(&chain, driver, device, 0, tape))
		return;
	const uint64_t at = draw_place(tape);
	const uint32_t len = chain.how & 0x80 ? tape_u16(tape) : tape_u8(tape), first = len / 3;
	const bool whole = at >= DATA && machine_reaches(at, len, true) && !driver->machine->managed;

	if (first)
		chain_add(&chain, at, first, true);
	chain_add(&chain, at + first, len - first, true);
	if (at < DATA && at + len > RINGS_FIRST)
		driver_forget_memory(driver, at, len);
	if (whole)
		memset(memory(&chain, at), FILLER, len);
	if (!chain_ask(&chain) || !whole)
		return;
	const uint32_t got = driver_ring(driver, device, 0)->newest.len;

	CHECK(got == (len < RANDOM_MAX ? len : RANDOM_MAX), "%u bytes of %u", got, len);
	for (uint32_t i = got; i < len; i++)
		CHECK(memory(&chain, at)[i] == FILLER, "byte %u is written, and is not said to be", i);
	unsigned same = 0;

	for (uint32_t i = 0; i < got; i++)
		same += memory(&chain, at)[i] == FILLER;
	CHECK(got < SECRET_SIZE || same < got, "no random bytes");
}

/* The IOMMU */

enum { ASK_ATTACH, ASK_MAP, ASK_UNMAP, ASK_DETACH, ASK_PROBE, ASK_GIVE, ASK_TAKE, ASK_ANYTHING, ASK_KINDS };

static uint32_t put_map(uint8_t *bytes, uint32_t domain, uint64_t first, uint64_t last)
{
	bytes[0] = VIO_T_MAP;
	le32_put(bytes + VIO_MAP_DOMAIN, domain);
	le64_put(bytes + VIO_MAP_VIRT_START, first);
	le64_put(bytes + VIO_MAP_VIRT_END, last);
	le64_put(bytes + VIO_MAP_PHYS_START, first);
	le32_put(bytes + VIO_MAP_FLAGS, VIO_MAP_F_READ | VIO_MAP_F_WRITE);
	return VIO_MAP_SIZE;
}

static uint32_t put_unmap(uint8_t *bytes, uint32_t domain, uint64_t first, uint64_t last)
{
	bytes[0] = VIO_T_UNMAP;
	le32_put(bytes + VIO_UNMAP_DOMAIN, domain);
	le64_put(bytes + VIO_UNMAP_VIRT_START, first);
	le64_put(bytes + VIO_UNMAP_VIRT_END, last);
	return VIO_UNMAP_SIZE;
}

static uint32_t put_attach(uint8_t *bytes, uint8_t type, uint32_t domain, uint32_t endpoint)
{
	bytes[0] = type;
	le32_put(bytes + VIO_ATTACH_DOMAIN, domain);
	le32_put(bytes + VIO_ATTACH_ENDPOINT, endpoint);
	return VIO_ATTACH_SIZE;
}

/* One of the devices behind the IOMMU, where the guest decides what they reach, gets a part of memory, or all. */
static uint32_t put_give(struct driver *driver, uint8_t *bytes, struct tape *tape)
{
	const struct device *device = &driver->machine->devices[tape_below(tape, KINDS)];

	if (device->pci && tape_u8(tape) & 1)
		return put_attach(bytes, VIO_T_ATTACH, OTHERS_DOMAIN, device->pci->devfn);
	return put_map(bytes, OTHERS_DOMAIN, 0, tape_u8(tape) & 1 ? READ_ONLY_FIRST - 1 : DATA - 1);
}

static uint32_t put_request(struct driver *driver, unsigned kind, unsigned page, uint8_t *bytes, struct tape *tape)
{
	const uint64_t first = (uint64_t)page * PAGE;

	switch (kind) {
	case ASK_ATTACH:
		return put_attach(bytes, VIO_T_ATTACH, DOMAIN, PLAYED);
	case ASK_MAP:
		return put_map(bytes, DOMAIN, first, first + PAGE - 1);
	case ASK_UNMAP:
		return put_unmap(bytes, DOMAIN, first, first + PAGE - 1);
	case ASK_DETACH:
		return put_attach(bytes, VIO_T_DETACH, DOMAIN, PLAYED);
	case ASK_PROBE:
		bytes[0] = VIO_T_PROBE;
		le32_put(bytes + VIO_PROBE_ENDPOINT, tape_u8(tape) & 1 ? PLAYED : tape_u8(tape));
		return VIO_PROBE_SIZE;
	case ASK_GIVE:
		return put_give(driver, bytes, tape);
	case ASK_TAKE:
		return put_unmap(bytes, OTHERS_DOMAIN, 0, HOST_FIRST - 1);
	default:
		driver->iommu_known = false;
		tape_copy(tape, bytes, VIO_MAP_SIZE);
		return VIO_MAP_SIZE;
	}
}

/* Section 5.13.6: what our own requests, one after the other, have to be answered with. */
static bool may_be_done(const struct driver *driver, unsigned kind, unsigned page)
{
	switch (kind) {
	case ASK_ATTACH:
		return true;
	case ASK_MAP:
		return driver->attached && !(driver->mapped >> page & 1);
	default:
		return driver->attached;
	}
}

static void note_done(struct driver *driver, unsigned kind, unsigned page)
{
	switch (kind) {
	case ASK_ATTACH:
		driver->attached = true;
		break;
	case ASK_MAP:
		driver->mapped |= 1u << page;
		break;
	case ASK_UNMAP:
		driver->mapped &= ~(1u << page);
		break;
	case ASK_DETACH:
		driver->attached = false;
		driver->mapped = 0;
	}
}

/* What the device does not understand goes back as it came (docs/SPEC-COVERAGE.md). */
static bool is_understood(const struct chain *chain, unsigned kind)
{
	switch (kind) {
	case ASK_ATTACH:
	case ASK_DETACH:
	case ASK_MAP:
	case ASK_UNMAP:
		return virtio_negotiated(chain->device->dev, VIO_F_MAP_UNMAP);
	case ASK_PROBE:
		return virtio_negotiated(chain->device->dev, VIO_F_PROBE);
	default:
		return false;
	}
}

static void check_answer(struct chain *chain, unsigned kind, unsigned page)
{
	struct driver *driver = chain->driver;
	const uint32_t len = driver_ring(driver, chain->device, chain->queue)->newest.len;
	const uint8_t *tail = memory(chain, chain->descs[1].addr) + len - VIO_TAIL_SIZE;

	if (!len) {
		CHECK(!is_understood(chain, kind), "request %u is not answered", kind);
		return;
	}
	CHECK(len >= VIO_TAIL_SIZE, "%u bytes of an answer", len);
	CHECK(tail[0] <= VIO_S_NOMEM && !tail[1] && !tail[2] && !tail[3], "status %u", tail[0]);
	if (kind > ASK_DETACH || !driver->iommu_known)
		return;
	CHECK((tail[0] == VIO_S_OK) == may_be_done(driver, kind, page), "request %u, page %u: status %u", kind, page,
	      tail[0]);
	if (tail[0] == VIO_S_OK)
		note_done(driver, kind, page);
	if (driver->attached)
		CHECK(machine_played_reaches(driver->machine, (uint64_t)page * PAGE) == (driver->mapped >> page & 1),
		      "page %u is reached, or is not", page);
}

/* What is answered while a device uses the page would be a lie. */
static void check_late(struct chain *chain, unsigned kind, unsigned page, bool came)
{
	struct driver *driver = chain->driver;
	const bool takes =
		driver->attached && (kind == ASK_DETACH || (kind == ASK_UNMAP && driver->mapped >> page & 1));

	if (driver->iommu_known && driver->machine->holds && takes && driver->machine->held_page == page)
		CHECK(!came, "page %u is answered for, and in use", page);
	if (!came && kind <= ASK_DETACH)
		driver->iommu_known = false;
}

static void ask_iommu(struct driver *driver, const struct device *device, struct tape *tape)
{
	const unsigned kind = tape_below(tape, ASK_KINDS), page = tape_below(tape, 8);
	struct chain chain;

	if (!chain_begin(&chain, driver, device, VIOMMU_VIRTIO_REQUESTQ, tape))
		return;
	const uint64_t at = COMMANDS + chain.slot * COMMAND_SIZE;

	memset(memory(&chain, at), 0, COMMAND_SIZE);
	memset(memory(&chain, at + ANSWER_AT), NOT_ANSWERED, VIO_TAIL_SIZE);
	chain_add(&chain, at, put_request(driver, kind, page, memory(&chain, at), tape), false);
	chain_add(&chain, at + ANSWER_AT, kind == ASK_PROBE ? COMMAND_SIZE - ANSWER_AT : VIO_TAIL_SIZE, true);
	const bool came = chain_ask(&chain);

	check_late(&chain, kind, page, came);
	if (came)
		check_answer(&chain, kind, page);
}

static void offer_events(struct driver *driver, const struct device *device, struct tape *tape)
{
	struct chain chain;

	if (!chain_begin(&chain, driver, device, VIOMMU_VIRTIO_EVENTQ, tape))
		return;
	chain_add(&chain, DATA + chain.slot * 64u, chain.how & 0x80 ? tape_u8(tape) : VIO_FAULT_SIZE, true);
	chain_offer(&chain);
}

/* The isolated device: bytes for its back end, and room for more. */
static void ask_isolated(struct driver *driver, const struct device *device, struct tape *tape)
{
	struct chain chain;

	if (!chain_begin(&chain, driver, device, 0, tape))
		return;
	const uint64_t from = draw_place(tape), to = draw_place(tape);

	chain_add(&chain, from, tape_u16(tape), false);
	chain_add(&chain, to, tape_u8(tape) * 16u + 1, true);
	if (to < DATA && to + chain.descs[1].len > RINGS_FIRST)
		driver_forget_memory(driver, to, chain.descs[1].len);
	chain_offer(&chain);
}

void driver_request(struct driver *driver, const struct device *device, struct tape *tape)
{
	switch (device->kind) {
	case KIND_DISK:
		ask_disk(driver, device, tape);
		break;
	case KIND_RNG:
		ask_rng(driver, device, tape);
		break;
	case KIND_ISOLATED:
		ask_isolated(driver, device, tape);
		break;
	default:
		if (tape_below(tape, 8))
			ask_iommu(driver, device, tape);
		else
			offer_events(driver, device, tape);
	}
}
