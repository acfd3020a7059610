/* SPDX-License-Identifier: BSD-2-Clause */
/* The back end of the isolated device: it has the bounce memory, and nothing else. */
#include <viommu/event.h>

#include "fuzz/driver.h"

struct bounce_view {
	uint8_t *memory;
	uint64_t first, size;
	struct viommu_vhu_ring ring;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

static void view_init(struct bounce_view *view, const struct machine *machine)
{
	const struct viommu_vhu_region region = isolation_region(machine->isolation);

	*view = (struct bounce_view){.memory = region.host, .first = region.gpa.value, .size = region.size};
	isolation_ring(machine->isolation, 0, &view->ring);
	view->desc = (void *)(view->memory + (view->ring.desc.value - view->first));
	view->avail = (void *)(view->memory + (view->ring.driver.value - view->first));
	view->used = (void *)(view->memory + (view->ring.device.value - view->first));
}

/* All descriptors lie in what the back end has. How many bytes it may write, which it does. */
static uint32_t perform(const struct bounce_view *view, uint16_t head)
{
	uint16_t at = head;
	uint32_t written = 0;

	for (unsigned i = 0; i < view->ring.size; i++) {
		const struct vring_desc desc = view->desc[at];

		CHECK(desc.addr >= view->first && desc.addr - view->first <= view->size &&
			      desc.len <= view->size - (desc.addr - view->first),
		      "a descriptor of memory that the back end does not have");
		if (desc.flags & VRING_DESC_F_WRITE) {
			memset(view->memory + (desc.addr - view->first), 0x77, desc.len);
			written += desc.len;
		}
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return written;
		at = desc.next;
		CHECK(at < view->ring.size, "descriptor %u", at);
	}
	CHECK(false, "a chain without end");
	return 0;
}

/* False: there was nothing. */
static bool serve_all(struct driver *driver, const struct bounce_view *view)
{
	bool any = false;

	for (unsigned i = 0; i < view->ring.size && view->avail->idx != driver->machine->back_end.seen; i++) {
		const uint16_t head = view->avail->ring[driver->machine->back_end.seen++ % view->ring.size];

		CHECK(head < view->ring.size, "head %u", head);
		view->used->ring[driver->machine->back_end.used % view->ring.size] =
			(struct vring_used_elem){head, perform(view, head)};
		view->used->idx = ++driver->machine->back_end.used;
		any = true;
	}
	viommu_event_signal(view->ring.call);
	driver_settle(driver);
	return any;
}

void back_end_serve(struct driver *driver)
{
	const struct device *device = &driver->machine->devices[KIND_ISOLATED];
	const struct driver_ring *ring = driver_ring(driver, device, 0);
	struct bounce_view view;

	if (!driver->machine->back_end.honest)
		return;
	view_init(&view, driver->machine);
	driver_settle(driver);
	/* What had no room comes when there is some. */
	while (serve_all(driver, &view))
		;
	CHECK(!driver->machine->back_end.broken, "an honest back end broke the rules");
	if (ring->tidy && device->dev->running && device->dev->queues[0].vq.enabled && pci_bus_master(device->pci))
		CHECK(!ring->offered, "%u chains do not come back from the back end", ring->offered);
}

void back_end_scribble(struct driver *driver, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	struct bounce_view view;

	view_init(&view, driver->machine);
	driver->machine->back_end.honest = false;
	if (kind & 1) {
		view.used->ring[tape_u8(tape) % view.ring.size] =
			(struct vring_used_elem){kind & 2 ? tape_u32(tape) : tape_u8(tape), tape_u32(tape)};
		view.used->idx = (uint16_t)(view.used->idx + (kind >> 4));
	} else {
		const uint32_t at =
			kind & 2 ? tape_u32(tape) : (uint32_t)((uint8_t *)view.desc - view.memory) + tape_u16(tape);

		tape_copy(tape, view.memory + at % (view.size - 8), 8);
	}
	if (kind & 4)
		viommu_event_signal(view.ring.call);
}

void back_end_lost(struct driver *driver)
{
	isolation_lost(driver->machine->isolation);
	machine_new_back_end(driver->machine);
	back_end_serve(driver);
}
