/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu's driver that sends any bytes, in buffers of any lengths. Every status is the one that the tests'
 * reference gives, and every access ends as it does there, so nothing translates that was not mapped, or after it was
 * unmapped. A section that is open while something is taken away keeps just that request from completing.
 */
#include <errno.h>

#include "fuzz/virtio_world.h"
#include "lib/util/le.h"

enum { OUT = 256, STEPS = 900, NOTHING = 0xcc };

static const uint64_t windows[] = {0, 0xfee00000 - 0x4000, 0xffffffffc000, 0xffffffffffff0000};
static const int errors[] = {0, -EFAULT, -EFAULT, -EACCES, -EFAULT};

static void accept_features(struct world *w, uint64_t features)
{
	viommu_virtio_set_features(w->dev, features);
	ref_accept(&ref, features & viommu_virtio_features(w->dev));
}

static void reset(struct world *w, struct tape *tape)
{
	world_leave(w);
	viommu_virtio_reset(w->dev, false);
	ref_reset(&ref);
	CHECK(!viommu_virtio_poll(w->dev), "a reset is pending");
	accept_features(w, ~(1ull << tape_below(tape, 16)));
}

static void write_config(struct world *w, struct tape *tape)
{
	uint8_t bytes[64], config[64];
	const size_t offset = tape_u8(tape), len = tape_below(tape, sizeof(bytes));

	world_leave(w); /* what waits is seen late, which the reference does not know */
	tape_copy(tape, bytes, len);
	viommu_virtio_config_write(w->dev, offset, bytes, len);
	if (offset <= VIO_CONFIG_BYPASS && VIO_CONFIG_BYPASS - offset < len && bytes[VIO_CONFIG_BYPASS - offset] <= 1)
		ref_write_bypass(&ref, bytes[VIO_CONFIG_BYPASS - offset]);
	viommu_virtio_config_read(w->dev, 0, config, sizeof(config));
	CHECK(le64_get(config + VIO_CONFIG_INPUT_END) == ref.input_last, "the configuration has changed");
	CHECK(config[VIO_CONFIG_BYPASS] == (ref.bypass && !ref.legacy), "bypass is %u", config[VIO_CONFIG_BYPASS]);
}

/* In two pieces each, cut where the input says; the readable part is a block of its own size. */
static void send(struct world *w, struct tape *tape, const uint8_t *bytes, size_t len, size_t room)
{
	uint8_t padded[VIO_PROBE_SIZE] = {0}, out[OUT], *in = malloc(len ? len : 1);
	const size_t cut = tape_u8(tape), in_cut = cut < len ? cut : len, out_cut = cut < room ? cut : room;
	const struct iovec ins[] = {{in, in_cut}, {in + in_cut, len - in_cut}};
	const struct iovec outs[] = {{out, out_cut}, {out + out_cut, room - out_cut}};
	struct viommu_virtio_request request = {ins, 2, outs, 2, 0, false};

	memcpy(in, bytes, len);
	memcpy(padded, bytes, len);
	memset(out, NOTHING, sizeof(out));

	const unsigned in_use = world_in_use(w);
	const int wanted = world_expect(padded, len, room);
	const bool waits = world_in_use(w) < in_use;
	const int err = viommu_virtio_submit(w->dev, &request, 1);
	const uint32_t written = request.written;

	CHECK(!err || (err == -EAGAIN && w->inside && !request.complete), "error %d", err);
	CHECK(!waits || err, "complete, although somebody is inside");
	world_leave(w);
	CHECK(!viommu_virtio_poll(w->dev) && request.complete, "pending");
	free(in);
	CHECK(written <= room, "%u bytes", written);
	CHECK((wanted == REF_UNWRITTEN) == !written, "type %u: %u bytes written, status %d expected", padded[0],
	      written, wanted);
	CHECK(!written || out[written - VIO_TAIL_SIZE] == wanted, "type %u: status %u instead of %d", padded[0],
	      out[written - VIO_TAIL_SIZE], wanted);
	for (size_t i = written; i < sizeof(out); i++)
		CHECK(out[i] == NOTHING, "byte %zu behind what was written", i);
}

static uint64_t draw_address(struct tape *tape)
{
	const uint8_t window = tape_u8(tape), page = tape_u8(tape);

	return window >= 250 ? tape_u64(tape) : windows[window % 4] + (page & 31) * 4096ull + (page & 0x80 ? 0x800 : 0);
}

static uint64_t draw_last(struct tape *tape, uint64_t first)
{
	const uint8_t pages = tape_u8(tape);

	return pages & 0x80 ? draw_address(tape) - 1 : first + ((pages & 15) + 1) * 4096ull - 1;
}

/* A request that is nearly right, or any bytes. */
static void send_some(struct world *w, struct tape *tape)
{
	uint8_t in[VIO_PROBE_SIZE] = {0};
	const uint8_t kind = tape_u8(tape), flags = tape_u8(tape), domain = tape_below(tape, REF_DOMAINS + 1);
	const uint64_t first = draw_address(tape);

	in[0] = (uint8_t)(1 + kind % VIO_T_PROBE);
	in[4] = in[0] == VIO_T_PROBE ? 8 + flags % 40 : domain;
	if (in[0] == VIO_T_ATTACH || in[0] == VIO_T_DETACH) {
		in[8] = 8 * (uint8_t)(1 + flags % (REF_ENDPOINTS + 1));
		in[12] = flags >> 6;
	} else if (in[0] != VIO_T_PROBE) {
		le64_put(in + VIO_MAP_VIRT_START, first);
		le64_put(in + VIO_MAP_VIRT_END, draw_last(tape, first));
		if (in[0] == VIO_T_MAP)
			le64_put(in + VIO_MAP_PHYS_START, tape_u8(tape) * 0x1800ull & ~0x7ffull);
		in[VIO_MAP_FLAGS] = in[0] == VIO_T_MAP ? flags & 7 : 0;
	}
	if (kind < 250) {
		send(w, tape, in, sizeof(in), OUT);
		return;
	}
	const size_t len = tape_below(tape, sizeof(in) + 1);

	tape_copy(tape, in, len);
	send(w, tape, in, len, tape_u8(tape));
}

/* The driver is told of the first address that could not be reached. */
static void check_event(struct world *w, unsigned endpoint, uint64_t address, enum ref_outcome outcome)
{
	uint8_t event[VIO_FAULT_SIZE];

	CHECK(!viommu_virtio_event(w->dev, event, sizeof(event)), "no event");
	CHECK(event[VIO_FAULT_REASON] == (outcome == REF_BLOCKED     ? VIO_FAULT_R_DOMAIN
					  : outcome == REF_NO_MEMORY ? VIO_FAULT_R_UNKNOWN
								     : VIO_FAULT_R_MAPPING),
	      "reason %u", event[VIO_FAULT_REASON]);
	CHECK(le32_get(event + VIO_FAULT_ENDPOINT) == ref.ids[endpoint], "another endpoint");
	CHECK(le64_get(event + VIO_FAULT_ADDRESS) == address, "another address");
	CHECK(viommu_virtio_event(w->dev, event, sizeof(event)) == -EAGAIN, "two events");
}

static void use(struct world *w, struct tape *tape)
{
	const unsigned endpoint = tape_below(tape, REF_ENDPOINTS), access = 1 + tape_below(tape, 3);
	const uint64_t address = draw_address(tape) + tape_u8(tape), len = 1 + tape_u16(tape);
	uint64_t gpa = 0;
	struct viommu_span span;

	world_leave(w);
	if (len - 1 > UINT64_MAX - address)
		return;
	CHECK(!viommu_dma_begin(w->endpoints[endpoint], &w->section), "no section");
	w->inside = true;
	w->user = endpoint;

	const int err = viommu_dma_translate(&w->section, (struct viommu_iova){address}, len, access, &span);
	const enum ref_outcome outcome = ref_access(&ref, endpoint, address, access, &gpa);

	CHECK(err == errors[outcome], "0x%llx: %d instead of %d", (unsigned long long)address, err, errors[outcome]);
	if (err)
		check_event(w, endpoint, address, outcome);
	for (uint64_t i = 0; !err && i < span.len; i += 2048)
		CHECK(!ref_access(&ref, endpoint, address + i, access, &gpa) && (uint8_t *)span.host + i == ram + gpa,
		      "0x%llx: another place", (unsigned long long)(address + i));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct world w = {0};

	world_create(&w, tape_u8(&tape));
	accept_features(&w, UINT64_MAX);
	for (unsigned step = 0; tape.left && step < STEPS; step++) {
		const uint8_t choice = tape_u8(&tape);

		if (choice < 150)
			send_some(&w, &tape);
		else if (choice < 235)
			use(&w, &tape);
		else if (choice < 250)
			write_config(&w, &tape);
		else
			reset(&w, &tape);
	}
	world_destroy(&w);
	return 0;
}
