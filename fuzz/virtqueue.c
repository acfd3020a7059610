/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtqueue that a driver fills with anything: rings at places of its choice, descriptors, direct and indirect, on
 * pages that come and go. What is taken keeps to the limits that devices rely on; what is translated is the page that
 * was mapped; pages that are not mapped, or not for writing, stay as they are.
 */
#include <errno.h>

#include "fuzz/ring.h"

enum { CHAINS = 16, SPANS = 64, COPY = 512 };

static void check_spans(struct ring *ring, bool writable, uint64_t len)
{
	struct viommu_span spans[SPANS];
	uint64_t done = 0, bytes = 0;
	const int count = vq_translate_part(&ring->section, &ring->chain, writable, 0, len, spans, SPANS, &done);

	CHECK(count >= 0 ? count <= SPANS : ring_error_is_known(count), "%d", count);
	for (int i = 0; i < count; i++) {
		uint8_t *host = spans[i].host;

		CHECK(spans[i].len && host >= ring->memory &&
			      host + spans[i].len <= ring->memory + RING_PAGES * RING_PAGE,
		      "span %d", i);
		CHECK(host == ring_at(ring, spans[i].iova.value), "span %d is another page", i);
		bytes += spans[i].len;
	}
	CHECK(count < 0 || (bytes == done && done <= len), "%llu of %llu", (unsigned long long)done,
	      (unsigned long long)len);
}

static void check_chain(const struct vq *vq, const struct vq_chain *chain)
{
	uint64_t bytes = 0;

	CHECK(chain->head < vq->size, "head %u", chain->head);
	CHECK(chain->readable + chain->writable <= VQ_MAX_SEGMENTS, "%u segments", chain->readable + chain->writable);
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		CHECK(chain->segments[i].len, "segment %u", i);
		CHECK(chain->segments[i].len - 1 <= UINT64_MAX - chain->segments[i].iova.value, "segment %u wraps", i);
		bytes += chain->segments[i].len;
	}
	CHECK(bytes == chain->readable_bytes + chain->writable_bytes && bytes <= 1ull << 32, "bytes");
}

static void use_chain(struct ring *ring, struct tape *tape)
{
	const struct vq_chain *chain = &ring->chain;
	const uint64_t readable = chain->readable_bytes, writable = chain->writable_bytes;
	uint8_t buffer[COPY] = {0};
	int ret;

	check_chain(&ring->vq, chain);
	check_spans(ring, false, readable);
	check_spans(ring, true, writable);
	ret = vq_copy_in(&ring->section, chain, 0, buffer, readable < COPY ? readable : COPY);
	CHECK(!ret || ring_error_is_known(ret), "%d", ret);
	ret = vq_copy_out(&ring->section, chain, 0, buffer, writable < COPY ? writable : COPY);
	CHECK(!ret || ring_error_is_known(ret), "%d", ret);

	const uint16_t used = ring->vq.next_used;

	ret = vq_push(&ring->vq, &ring->section, chain->head, tape_u8(tape));
	CHECK(ret ? ring_error_is_known(ret) : ring->vq.next_used == (uint16_t)(used + 1), "%d", ret);
}

/* As a device does: until the ring is empty, or cannot go on. */
static void drain(struct ring *ring, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);
	int ret = choice & 1 ? vq_resolve(&ring->vq, &ring->section) : 0;

	for (unsigned i = 0; !ret && i < CHAINS; i++) {
		ret = ring_pop(ring);
		if (ret <= 0)
			break;
		use_chain(ring, tape);
		ret = 0;
	}
	CHECK(!ret || ring_error_is_known(ret), "%d", ret);
	ret = vq_wants_interrupt(&ring->vq, &ring->section);
	CHECK(ret == 0 || ret == 1 || ring_error_is_known(ret), "%d", ret);
	ret = vq_ask_kicks(&ring->vq, &ring->section, choice & 2);
	CHECK(!ret || ring_error_is_known(ret), "%d", ret);
	ret = vq_waiting(&ring->vq, &ring->section);
	CHECK(ret <= ring->vq.size && (ret >= 0 || ring_error_is_known(ret)), "%d", ret);
	vq_miss_is_fault(&ring->vq, &ring->section, (struct viommu_iova){ring_draw_iova(tape)}, VIOMMU_READ);
	vq_release(&ring->vq);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct ring *ring = ring_draw(&tape);

	while (tape.left) {
		switch (tape_below(&tape, 8)) {
		case 0:
		case 1:
			ring_draw_desc(ring, &tape);
			break;
		case 2:
			ring_offer(ring, tape_u8(&tape));
			break;
		case 3:
			ring_draw_bytes(ring, &tape);
			break;
		case 4:
			ring_draw_page(ring, &tape);
			break;
		case 5:
			ring_draw_chain(ring, &tape);
			break;
		case 6:
			ring_draw_long(ring, &tape);
			break;
		default:
			drain(ring, &tape);
		}
	}
	drain(ring, &tape);
	ring_check_guards(ring);
	ring_destroy(ring);
	return 0;
}
