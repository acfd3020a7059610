/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/virtio_mirror.h"

#include <errno.h>
#include <viommu/mirror.h>

enum { HELD = 2 * REF_MAPPINGS, QUESTIONS = 4096 };

struct held {
	struct viommu_extent extent;
	uint64_t ticket; /* of the question that it came with */
};

struct question {
	uint64_t ticket;
	unsigned number; /* of the map, as the mood counts them; 0: it is an unmap */
};

static struct {
	struct viommu_client *client;
	struct held held[HELD];
	unsigned count;
	struct question questions[QUESTIONS]; /* that have no answer yet */
	unsigned asked, maps, attaches;
	struct virtio_mirror_mood mood;
	int refusal;
	bool lost;
} mirror;

static bool overlap(const struct viommu_extent *extent, uint64_t first, uint64_t last)
{
	return extent->first.value <= last && first <= extent->last.value;
}

static int refuse(int err)
{
	if (err)
		mirror.refusal = err;
	return err;
}

static int on_attach(void *opaque, enum viommu_space space)
{
	(void)opaque;
	if (space == VIOMMU_SPACE_BLOCKED || ++mirror.attaches != mirror.mood.refuse_attach)
		return 0;
	/* Not what follows a late refusal: that is no way back. */
	if (mirror.attaches > 1 && (!mirror.refusal || mirror.mood.late))
		return 0;
	mirror.lost = mirror.refusal;
	return refuse(mirror.mood.refuse_err);
}

static void ask_later(uint64_t ticket, unsigned number)
{
	CHECK(mirror.asked < QUESTIONS, "too many questions");
	mirror.questions[mirror.asked++] = (struct question){ticket, number};
}

static int on_map(void *opaque, const struct viommu_extent *extent, uint64_t ticket)
{
	(void)opaque;
	CHECK(extent->first.value <= extent->last.value, "extent %llx", (unsigned long long)extent->first.value);
	CHECK(extent->access && !(extent->access & ~3u), "access %u", extent->access);
	CHECK((uint8_t *)extent->host == ram + extent->gpa.value, "0x%llx is elsewhere",
	      (unsigned long long)extent->gpa.value);
	for (unsigned i = 0; i < mirror.count; i++)
		CHECK(!overlap(&mirror.held[i].extent, extent->first.value, extent->last.value),
		      "0x%llx overlaps what is held", (unsigned long long)extent->first.value);

	const bool late = mirror.mood.late && ticket, refused = ++mirror.maps == mirror.mood.refuse;

	if (refused && !late)
		return refuse(mirror.mood.refuse_err);
	CHECK(mirror.count < HELD, "too many extents");
	mirror.held[mirror.count++] = (struct held){*extent, late ? ticket : 0};
	if (!late)
		return 0;
	ask_later(ticket, mirror.maps);
	return -EINPROGRESS;
}

static void on_unmap(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	unsigned kept = 0;

	(void)opaque;
	for (unsigned i = 0; i < mirror.count; i++) {
		const struct viommu_extent *extent = &mirror.held[i].extent;

		if (!overlap(extent, first.value, last.value)) {
			mirror.held[kept++] = mirror.held[i];
			continue;
		}
		CHECK(first.value <= extent->first.value && extent->last.value <= last.value, "0x%llx is cut",
		      (unsigned long long)extent->first.value);
	}
	mirror.count = kept;
	if (ticket && mirror.mood.late)
		ask_later(ticket, 0);
	else if (ticket)
		viommu_client_ack(mirror.client, ticket);
}

static const struct viommu_mirror_ops ops = {
	.size = sizeof(ops), .attach = on_attach, .map = on_map, .unmap = on_unmap};

void virtio_mirror_register(struct world *w)
{
	memset(&mirror, 0, sizeof(mirror));
	CHECK(!viommu_mirror_register(w->endpoints[MIRRORED], &ops, NULL, &mirror.client), "no mirror");
}

void virtio_mirror_unregister(void)
{
	viommu_client_unregister(mirror.client);
	mirror.client = NULL;
}

void virtio_mirror_set_mood(struct virtio_mirror_mood mood)
{
	mirror.mood = mood;
	mirror.maps = 0;
	mirror.attaches = 0;
	mirror.refusal = 0;
	mirror.lost = false;
}

int virtio_mirror_refusal(void)
{
	return mirror.refusal;
}

bool virtio_mirror_lost(void)
{
	return mirror.lost;
}

/* One that is held no more since the question was made has been taken back. */
static bool forget(uint64_t ticket)
{
	for (unsigned i = 0; i < mirror.count; i++)
		if (mirror.held[i].ticket == ticket) {
			mirror.held[i] = mirror.held[--mirror.count];
			return true;
		}
	return false;
}

bool virtio_mirror_answer(void)
{
	const unsigned asked = mirror.asked;

	/* An answer may be the reason for more questions. */
	for (unsigned i = 0; i < mirror.asked; i++) {
		const struct question question = mirror.questions[i];

		if (question.number && question.number == mirror.mood.refuse && forget(question.ticket))
			viommu_client_refuse(mirror.client, question.ticket, refuse(mirror.mood.refuse_err));
		else
			viommu_client_ack(mirror.client, question.ticket);
	}
	mirror.asked = 0;
	return asked;
}

/* The part of first..last, which leads to gpa, that is memory is held. */
static bool holds(uint64_t first, uint64_t last, uint64_t gpa, unsigned access)
{
	for (unsigned i = 0; i < mirror.count; i++) {
		const struct viommu_extent *extent = &mirror.held[i].extent;

		if (extent->first.value == first && extent->last.value == last && extent->gpa.value == gpa &&
		    extent->access == access)
			return true;
	}
	return false;
}

/* @count: the extents there are */
static void expect(uint64_t first, uint64_t last, uint64_t gpa, unsigned access, unsigned *count)
{
	const uint64_t end = gpa + (last - first), from = gpa > ref.memory_first ? gpa : ref.memory_first,
		       to = end < ref.memory_last ? end : ref.memory_last;

	if (from > to || !(access & 3) || access & VIO_MAP_F_MMIO)
		return;
	++*count;
	CHECK(holds(first + (from - gpa), first + (to - gpa), from, access), "0x%llx is not held",
	      (unsigned long long)first);
}

void virtio_mirror_check(void)
{
	const int id = ref.attached[MIRRORED];
	const struct ref_domain *domain = id == REF_UNATTACHED ? NULL : &ref.domains[id];
	unsigned count = 0;

	if (!mirror.client)
		return;
	CHECK(!mirror.asked, "%u questions are open", mirror.asked);
	if (domain ? domain->bypass : ref.bypass)
		expect(ref.memory_first, ref.memory_last, ref.memory_first, VIOMMU_READ | VIOMMU_WRITE, &count);
	for (unsigned i = 0; domain && i < domain->count; i++)
		expect(domain->mappings[i].first, domain->mappings[i].last, domain->mappings[i].phys,
		       domain->mappings[i].flags, &count);
	CHECK(mirror.count == count, "%u extents are held, and not %u", mirror.count, count);
}
