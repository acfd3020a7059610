/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vtd_guest.h"

#include <stdlib.h>
#include <string.h>

static void interrupt(void *opaque, struct viommu_irq_message message)
{
	struct guest *guest = opaque;

	guest->messages[guest->interrupts++ % GUEST_EVENTS] = message;
}

static void irq_invalidate(void *opaque, uint32_t first, uint32_t last)
{
	struct guest *guest = opaque;

	guest->invalidations++;
	guest->first = first;
	guest->last = last;
}

static void irq_commit(void *opaque)
{
	struct guest *guest = opaque;

	guest->commits++;
	if (guest->committing)
		guest->committing(guest);
}

static void pending(void *opaque)
{
	((struct guest *)opaque)->pending++;
}

static struct viommu_endpoint *add(struct guest *guest, uint32_t id)
{
	struct viommu_endpoint *endpoint;

	assert_int_equal(viommu_endpoint_add(guest->v, id, "device", &endpoint), 0);
	assert_int_equal(viommu_vtd_manage(guest->unit, endpoint), 0);
	return endpoint;
}

struct guest *guest_create(const struct viommu_vtd_config *config)
{
	struct viommu_vtd_config with = config ? *config
					       : (struct viommu_vtd_config){
							 .size = sizeof(struct viommu_vtd_config),
							 .aw_bits = 57,
							 .intremap = true,
							 .eim = true,
							 .device_iotlb = true,
							 .scalable = true,
						 };
	const struct viommu_config core = {.size = sizeof(struct viommu_config), .deadline_ms = 50};
	struct guest *guest = calloc(1, sizeof(*guest));

	guest->ram = aligned_alloc(4096, GUEST_RAM);
	memset(guest->ram, 0, GUEST_RAM);
	with.interrupt = interrupt;
	with.irq_invalidate = irq_invalidate;
	with.irq_commit = irq_commit;
	with.pending = pending;
	with.opaque = guest;
	assert_int_equal(viommu_create(&core, &guest->v), 0);
	assert_int_equal(viommu_mem_add(guest->v, (struct viommu_gpa){0}, GUEST_RAM, guest->ram, -1, 0), 0);
	assert_int_equal(viommu_vtd_create(guest->v, &with, &guest->unit), 0);
	if (!with.irq_only) {
		guest->device = add(guest, GUEST_DEVICE);
		guest->other = add(guest, GUEST_OTHER_DEVICE);
	}
	return guest;
}

void guest_destroy(struct guest *guest)
{
	viommu_vtd_destroy(guest->unit);
	if (guest->device) {
		assert_int_equal(viommu_endpoint_remove(guest->device), 0);
		assert_int_equal(viommu_endpoint_remove(guest->other), 0);
	}
	viommu_destroy(guest->v);
	free(guest->ram);
	free(guest);
}

int guest_setup(void **state)
{
	*state = guest_create(NULL);
	return 0;
}

int guest_teardown(void **state)
{
	guest_destroy(*state);
	return 0;
}

uint64_t guest_get(struct guest *guest, unsigned offset, unsigned size)
{
	return viommu_vtd_read(guest->unit, offset, size);
}

void guest_set(struct guest *guest, unsigned offset, uint64_t value, unsigned size)
{
	viommu_vtd_write(guest->unit, offset, value, size);
}

void guest_put(struct guest *guest, uint64_t gpa, uint64_t value)
{
	memcpy(guest->ram + gpa, &value, sizeof(value));
}

uint32_t guest_load32(struct guest *guest, uint64_t gpa)
{
	uint32_t value;

	memcpy(&value, guest->ram + gpa, sizeof(value));
	return value;
}

enum { SWITCHES = (int)(VTD_GCMD_QIE | VTD_GCMD_IRE | VTD_GCMD_CFI) };

static uint64_t switches(struct guest *guest)
{
	return guest_get(guest, VTD_GSTS, 4) & (VTD_GCMD_TE | (uint64_t)SWITCHES);
}

void guest_command(struct guest *guest, uint64_t bits)
{
	guest_set(guest, VTD_GCMD, switches(guest) | bits, 4);
}

void guest_uncommand(struct guest *guest, uint64_t bits)
{
	guest_set(guest, VTD_GCMD, switches(guest) & ~bits, 4);
}

void guest_queue_on(struct guest *guest, bool wide)
{
	guest->tail = 0;
	guest->descriptor_size = wide ? 32 : 16;
	guest->queue_size = wide ? 8192 : 4096;
	guest_set(guest, VTD_IQT, 0, 4);
	guest_set(guest, VTD_IQA, GUEST_QUEUE | (wide ? VTD_IQA_DW | 1 : 0), 8);
	guest_command(guest, VTD_GCMD_QIE);
	assert_true(guest_get(guest, VTD_GSTS, 4) & VTD_GCMD_QIE);
}

void guest_push(struct guest *guest, uint64_t low, uint64_t high)
{
	uint64_t at = GUEST_QUEUE + guest->tail;

	memset(guest->ram + at, 0, guest->descriptor_size);
	guest_put(guest, at, low);
	guest_put(guest, at + 8, high);
	guest->tail = (guest->tail + guest->descriptor_size) % guest->queue_size;
}

void guest_kick(struct guest *guest)
{
	guest_set(guest, VTD_IQT, guest->tail, 4);
}

void guest_push_wait(struct guest *guest, uint32_t value)
{
	guest_push(guest, VTD_D_WAIT | VTD_WAIT_SW | (uint64_t)value << 32, GUEST_STATUS);
}

uint32_t guest_status(struct guest *guest)
{
	return guest_load32(guest, GUEST_STATUS);
}
