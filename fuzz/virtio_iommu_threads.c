/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-iommu whose driver maps, unmaps, moves endpoints and resets, while two devices do DMA on threads of their
 * own (users.h). When the driver sees a request complete, no device uses what the request took away.
 */
#include <errno.h>
#include <sched.h>

#include "fuzz/users.h"
#include "fuzz/virtio_world.h"
#include "lib/util/le.h"

enum { MEMORY = 0x10000, STEPS = 60, ROOM = 64, FAR_MS = 60000 };

static struct users users;

static void poll_until_done(struct world *w)
{
	while (viommu_virtio_poll(w->dev))
		sched_yield();
}

static void send(struct world *w, const uint8_t *bytes, size_t len, int wanted)
{
	uint8_t in[VIO_PROBE_SIZE] = {0}, out[ROOM] = {0};
	const struct iovec ins = {in, len}, outs = {out, VIO_TAIL_SIZE};
	struct viommu_virtio_request request = {&ins, 1, &outs, 1, 0, false};

	memcpy(in, bytes, len);
	if (viommu_virtio_submit(w->dev, &request, 1))
		poll_until_done(w);
	CHECK(request.complete && out[0] == wanted, "type %u: status %u", bytes[0], out[0]);
}

/* User N is alone in domain N. */
static void send_map(struct world *w, unsigned index, unsigned page)
{
	uint8_t in[VIO_MAP_SIZE] = {VIO_T_MAP, 0, 0, 0, (uint8_t)index};
	const uint64_t at = (uint64_t)page * USERS_PAGE;

	le64_put(in + VIO_MAP_VIRT_START, at);
	le64_put(in + VIO_MAP_VIRT_END, at + USERS_PAGE - 1);
	le64_put(in + VIO_MAP_PHYS_START, MEMORY + (uint64_t)index * USERS_PAGES * USERS_PAGE + at);
	in[VIO_MAP_FLAGS] = VIO_MAP_F_READ | VIO_MAP_F_WRITE;
	send(w, in, sizeof(in), VIO_S_OK);
}

static void send_unmap(struct world *w, unsigned index, unsigned first, unsigned last)
{
	uint8_t in[VIO_UNMAP_SIZE] = {VIO_T_UNMAP, 0, 0, 0, (uint8_t)index};

	le64_put(in + VIO_MAP_VIRT_START, (uint64_t)first * USERS_PAGE);
	le64_put(in + VIO_MAP_VIRT_END, (uint64_t)(last + 1) * USERS_PAGE - 1);
	send(w, in, sizeof(in), VIO_S_OK);
}

static void attach(struct world *w, unsigned index)
{
	uint8_t in[VIO_ATTACH_SIZE] = {VIO_T_ATTACH, 0, 0, 0, (uint8_t)index};

	le32_put(in + 8, ref.ids[index]);
	send(w, in, sizeof(in), VIO_S_OK);
}

static void detach(struct world *w, unsigned index)
{
	uint8_t in[VIO_DETACH_SIZE] = {VIO_T_DETACH, 0, 0, 0, (uint8_t)index};

	le32_put(in + 8, ref.ids[index]);
	send(w, in, sizeof(in), VIO_S_OK);
}

static void reset(struct world *w)
{
	viommu_virtio_reset(w->dev, false);
	poll_until_done(w);
	for (unsigned i = 0; i < USERS; i++)
		users_taken_all(&users.user[i]);
	viommu_virtio_set_features(w->dev, UINT64_MAX);
	for (unsigned i = 0; i < USERS; i++)
		attach(w, i);
}

/* The machine takes the device back, and gives it again. */
static void release(struct world *w, unsigned index)
{
	struct viommu_inval *inval;

	CHECK(!viommu_inval_create(w->v, &inval), "no invalidation");
	CHECK(!viommu_virtio_release(w->dev, w->endpoints[index], inval), "not released");
	users_wait_for(inval);
	users_taken_all(&users.user[index]);
	CHECK(!viommu_virtio_manage(w->dev, w->endpoints[index]), "not managed");
	attach(w, index);
}

static void step(struct world *w, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape), index = tape_below(tape, USERS), page = tape_below(tape, USERS_PAGES);
	struct user *user = &users.user[index];

	if (choice >= 250) {
		reset(w);
	} else if (choice >= 242) {
		release(w, index);
	} else if (choice >= 230) {
		detach(w, index);
		users_taken_all(user);
		attach(w, index);
	} else if (choice >= 210) {
		send_unmap(w, index, 0, USERS_PAGES - 1);
		users_taken_all(user);
	} else if (user->given[page]) {
		send_unmap(w, index, page, page);
		users_taken(user, page);
	} else {
		users_give(user, page);
		send_map(w, index, page);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	struct world w = {.deadline_ms = FAR_MS};
	uint8_t *const memory[USERS] = {ram + MEMORY, ram + MEMORY + USERS_PAGES * USERS_PAGE};

	world_create(&w, 0);
	viommu_virtio_set_features(w.dev, UINT64_MAX);
	for (unsigned i = 0; i < USERS; i++)
		attach(&w, i);
	users_start(&users, &tape, w.endpoints, memory);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(&w, &tape);
	for (unsigned i = 0; i < USERS; i++) {
		send_unmap(&w, i, 0, USERS_PAGES - 1);
		users_taken_all(&users.user[i]);
	}
	users_join(&users);
	world_destroy(&w);
	return 0;
}
