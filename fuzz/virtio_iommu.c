/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu's driver that sends any bytes, in buffers of any lengths. Every status is the one that the tests'
 * reference gives, and every access ends as it does there, so nothing translates that was not mapped, or after it was
 * unmapped. A section that is open while something is taken away keeps just that request from completing. In some lives
 * an endpoint has a mirror that takes its time, or refuses. A device that is paused gets nothing, and loses nothing.
 */
#include <errno.h>

#include "fuzz/virtio_mirror.h"
#include "lib/util/le.h"

enum { OUT = 256, STEPS = 900, NOTHING = 0xcc };

static bool paused[REF_ENDPOINTS];

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

/* What a mirror is asked by a request of this type. */
static struct virtio_mirror_mood draw_mood(struct tape *tape, uint8_t type)
{
	const uint8_t kind = tape_u8(tape);
	struct virtio_mirror_mood mood = {.late = kind & 1, .refuse_err = kind & 4 ? -ENOSPC : -EIO};

	if (kind < 128 || (type != VIO_T_ATTACH && type != VIO_T_MAP))
		return mood;
	mood.refuse = kind & 0x40 ? 1 : kind >> 4 & 3;
	mood.refuse_attach = kind & 2 ? 1 + (kind >> 3 & 1) : 0;
	return mood;
}

/* Until nothing is pending. True: the mirror had been asked. */
static bool answer(struct world *w)
{
	bool asked = false;

	while (viommu_virtio_poll(w->dev) == -EAGAIN) {
		CHECK(virtio_mirror_answer(), "pending");
		asked = true;
	}
	return asked;
}

/*
 * A mirror has refused it. What is refused at once has changed nothing; an endpoint that is refused after it has left
 * its domain, or cannot go back there, is unattached.
 */
static int take_back(const struct reference *before, const uint8_t *in, bool late)
{
	if (in[0] != VIO_T_ATTACH || !late)
		ref = *before;
	if (in[0] == VIO_T_ATTACH && (late || virtio_mirror_lost()))
		ref_detach(&ref, (uint32_t)ref.attached[MIRRORED], ref.ids[MIRRORED]);
	return virtio_mirror_refusal() == -ENOSPC ? VIO_S_NOMEM : VIO_S_DEVERR;
}

static void check_answer(const uint8_t *out, uint32_t written, int wanted, unsigned type)
{
	CHECK((wanted == REF_UNWRITTEN) == !written, "type %u: %u bytes written, status %d expected", type, written,
	      wanted);
	CHECK(!written || out[written - VIO_TAIL_SIZE] == wanted, "type %u: status %u instead of %d", type,
	      out[written - VIO_TAIL_SIZE], wanted);
	for (size_t i = written; i < OUT; i++)
		CHECK(out[i] == NOTHING, "byte %zu behind what was written", i);
}

/* What the reference says of a request is made, and a mirror's part in it. `padded`: its bytes, and zeroes */
static void perform(struct world *w, struct viommu_virtio_request *request, const uint8_t *padded, size_t len,
		    size_t room, struct virtio_mirror_mood mood)
{
	static struct reference before;
	const unsigned in_use = world_in_use(w);

	if (mood.refuse || mood.refuse_attach)
		before = ref;
	virtio_mirror_set_mood(mood);

	int wanted = world_expect(padded, len, room);
	const bool waits = world_in_use(w) < in_use;
	const int err = viommu_virtio_submit(w->dev, request, 1);
	const bool at_once = virtio_mirror_refusal(), inside = w->inside;

	CHECK(!waits || err || at_once, "complete, although somebody is inside");
	world_leave(w);
	const bool asked = answer(w);

	CHECK(!err || (err == -EAGAIN && (inside || asked)), "error %d", err);
	CHECK(request->complete, "pending");
	if (virtio_mirror_refusal())
		wanted = take_back(&before, padded, !at_once);
	virtio_mirror_set_mood((struct virtio_mirror_mood){0});
	CHECK(request->written <= room, "%u bytes", request->written);
	check_answer(request->out[0].iov_base, request->written, wanted, padded[0]);
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
	perform(w, &request, padded, len, room,
		w->mirrored ? draw_mood(tape, padded[0]) : (struct virtio_mirror_mood){0});
	free(in);
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
	if (paused[endpoint]) {
		CHECK(viommu_dma_begin(w->endpoints[endpoint], &w->section) == -ECANCELED, "it is paused");
		return;
	}
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

/* What a device that is told to stop is still doing is waited for. */
static void quiesce(struct world *w, unsigned endpoint)
{
	struct viommu_inval *inval;
	const bool waits = w->inside && w->user == endpoint;

	CHECK(!viommu_inval_create(w->v, &inval), "no invalidation");
	CHECK(!viommu_quiesce(w->endpoints[endpoint], inval), "it goes on");
	viommu_inval_begin(inval);
	CHECK(viommu_inval_poll(inval) == (waits ? -EAGAIN : 0), "the section is %sopen", waits ? "" : "not ");
	if (waits) {
		world_leave(w);
		CHECK(!viommu_inval_poll(inval), "nobody is inside");
	}
	viommu_inval_destroy(inval);
}

static void pause_or_resume(struct world *w, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	const unsigned endpoint = kind % REF_ENDPOINTS;

	paused[endpoint] = !paused[endpoint];
	if (!paused[endpoint])
		viommu_endpoint_resume(w->endpoints[endpoint]);
	else
		viommu_endpoint_pause(w->endpoints[endpoint]);
	if (paused[endpoint] && kind & 0x80)
		quiesce(w, endpoint);
}

static void step(struct world *w, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	if (choice < 150)
		send_some(w, tape);
	else if (choice < 230)
		use(w, tape);
	else if (choice < 238)
		pause_or_resume(w, tape);
	else if (choice < 250)
		write_config(w, tape);
	else
		reset(w, tape);
	virtio_mirror_check();
}

static void finish(struct world *w)
{
	world_leave(w);
	virtio_mirror_unregister();
	for (unsigned i = 0; i < REF_ENDPOINTS; i++)
		if (paused[i])
			viommu_endpoint_resume(w->endpoints[i]);
	memset(paused, 0, sizeof(paused));
	world_destroy(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct world w = {0};
	const uint8_t kind = tape_u8(&tape);

	world_create(&w, kind);
	w.mirrored = kind & 8;
	if (w.mirrored)
		virtio_mirror_register(&w);
	accept_features(&w, UINT64_MAX);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(&w, &tape);
	finish(&w);
	return 0;
}
