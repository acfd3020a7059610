/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/vtd_driver.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const uint16_t sources[VTD_DEVICES] = {VTD_A, VTD_B, VTD_C};

static void ask_for_poll(void *opaque)
{
	struct vtd_driver *d = opaque;

	atomic_fetch_add(&d->pending, 1);
}

/* Of one unit, one after the other. */
static void note_interrupt(void *opaque, struct viommu_irq_message message)
{
	struct vtd_driver *d = opaque;

	d->messages[atomic_load(&d->interrupts) % VTD_MESSAGES] = message;
	d->sum += (message.address << 32 | message.data) * 0x9e3779b97f4a7c15 ^ message.address;
	atomic_fetch_add(&d->interrupts, 1);
}

static void drop_irq_invalidate(void *opaque, uint32_t first, uint32_t last)
{
	(void)opaque;
	(void)first;
	(void)last;
}

static void drop_irq_commit(void *opaque)
{
	(void)opaque;
}

static void fill_ram(struct vtd_driver *d)
{
	d->ram = aligned_alloc(VTD_PAGE_SIZE, VTD_RAM);
	memset(d->ram, 0, VTD_RAM);
	for (uint64_t at = VTD_DATA; at < VTD_RAM; at += sizeof(at))
		vtd_set(d, at, at);
}

struct vtd_driver *vtd_driver_create_patient(const struct viommu_vtd_config *config, unsigned deadline_ms)
{
	const struct viommu_config core = {.size = sizeof(struct viommu_config), .deadline_ms = deadline_ms};
	struct vtd_driver *d = calloc(1, sizeof(*d));

	fill_ram(d);
	d->next_page = VTD_PAGE_SIZE;
	d->config = config ? *config : (struct viommu_vtd_config){.size = sizeof(struct viommu_vtd_config)};
	d->config.pending = ask_for_poll;
	d->config.interrupt = note_interrupt;
	d->config.irq_invalidate = drop_irq_invalidate;
	d->config.irq_commit = drop_irq_commit;
	d->config.opaque = d;
	assert_int_equal(viommu_create(&core, &d->v), 0);
	assert_int_equal(viommu_mem_add(d->v, (struct viommu_gpa){0}, VTD_RAM, d->ram, -1, 0), 0);
	assert_int_equal(viommu_vtd_create(d->v, &d->config, &d->unit), 0);
	for (unsigned i = 0; i < VTD_DEVICES; i++) {
		assert_int_equal(viommu_endpoint_add(d->v, sources[i], "device", &d->devices[i]), 0);
		assert_int_equal(viommu_vtd_manage(d->unit, d->devices[i]), 0);
	}
	d->root = vtd_page(d);
	d->queue = vtd_page(d);
	vtd_page(d); /* its second page, for descriptors of 256 bits */
	d->status = vtd_page(d);
	return d;
}

struct vtd_driver *vtd_driver_create(const struct viommu_vtd_config *config)
{
	return vtd_driver_create_patient(config, 0);
}

void vtd_driver_destroy(struct vtd_driver *d)
{
	viommu_vtd_destroy(d->unit);
	for (unsigned i = 0; i < VTD_DEVICES; i++)
		assert_int_equal(viommu_endpoint_remove(d->devices[i]), 0);
	viommu_destroy(d->v);
	free(d->ram);
	free(d);
}

uint64_t vtd_page(struct vtd_driver *d)
{
	uint64_t page = d->next_page;

	assert_true(page < VTD_DATA);
	d->next_page += VTD_PAGE_SIZE;
	return page;
}

_Atomic uint64_t *vtd_word(struct vtd_driver *d, uint64_t gpa)
{
	assert_true(gpa < VTD_RAM && !(gpa & 7));
	return (_Atomic uint64_t *)(void *)(d->ram + gpa);
}

void vtd_set(struct vtd_driver *d, uint64_t gpa, uint64_t value)
{
	atomic_store(vtd_word(d, gpa), value);
}

uint64_t vtd_get_register(struct vtd_driver *d, unsigned offset)
{
	return viommu_vtd_read(d->unit, offset, 8);
}

static uint32_t status_register(struct vtd_driver *d)
{
	return (uint32_t)viommu_vtd_read(d->unit, VTD_GSTS, 4);
}

void vtd_command_set(struct vtd_driver *d, uint64_t bit)
{
	if (bit != VTD_GCMD_SRTP && bit != VTD_GCMD_SIRTP)
		d->commands |= (uint32_t)bit;
	viommu_vtd_write(d->unit, VTD_GCMD, d->commands | bit, 4);
	while (!(status_register(d) & bit))
		viommu_vtd_poll(d->unit);
}

void vtd_command_clear(struct vtd_driver *d, uint64_t bit)
{
	d->commands &= ~(uint32_t)bit;
	viommu_vtd_write(d->unit, VTD_GCMD, d->commands, 4);
	while (status_register(d) & bit)
		viommu_vtd_poll(d->unit);
}

void vtd_start(struct vtd_driver *d, unsigned ttm)
{
	uint64_t wide = d->config.scalable ? VTD_IQA_DW | 1 : 0; /* as Linux: by ECAP.SMTS */

	viommu_vtd_write(d->unit, VTD_IQT, 0, 4);
	viommu_vtd_write(d->unit, VTD_IQA, d->queue | wide, 8);
	vtd_command_set(d, VTD_GCMD_QIE);
	viommu_vtd_write(d->unit, VTD_RTADDR, d->root | (uint64_t)ttm << 10, 8);
	vtd_command_set(d, VTD_GCMD_SRTP);
	vtd_flush_context(d, 1, 0, 0, 0);
	vtd_flush_iotlb(d, 1, 0, 0, 0);
	vtd_command_set(d, VTD_GCMD_TE);
}

void vtd_queue_put(struct vtd_driver *d, uint64_t low, uint64_t high)
{
	unsigned size = d->config.scalable ? 32 : 16, end = d->config.scalable ? 2 * VTD_PAGE_SIZE : VTD_PAGE_SIZE;

	vtd_set(d, d->queue + d->tail, low);
	vtd_set(d, d->queue + d->tail + 8, high);
	d->tail = (d->tail + size) % end;
}

void vtd_queue_put_wait(struct vtd_driver *d, uint32_t value)
{
	vtd_set(d, d->status, 0);
	vtd_queue_put(d, (uint64_t)value << 32 | VTD_WAIT_SW | VTD_D_WAIT, d->status);
}

void vtd_queue_ring(struct vtd_driver *d)
{
	if (d->ring)
		d->ring(d->ring_opaque, d->tail);
	else
		viommu_vtd_write(d->unit, VTD_IQT, d->tail, 4);
}

uint32_t vtd_queue_status(struct vtd_driver *d)
{
	return (uint32_t)atomic_load(vtd_word(d, d->status));
}

void vtd_queue_sync(struct vtd_driver *d)
{
	enum { DONE = 2 };

	vtd_queue_put_wait(d, DONE);
	vtd_queue_ring(d);
	while (vtd_queue_status(d) != DONE) {
		viommu_vtd_poll(d->unit);
		if (!d->ring)
			assert_false(viommu_vtd_read(d->unit, VTD_FSTS, 4) & (VTD_FSTS_IQE | VTD_FSTS_ITE));
		sched_yield();
	}
}

void vtd_flush_context(struct vtd_driver *d, unsigned granularity, uint16_t did, uint16_t source, unsigned fm)
{
	vtd_queue_put(
		d, VTD_D_CONTEXT | granularity << 4 | (uint64_t)did << 16 | (uint64_t)source << 32 | (uint64_t)fm << 48,
		0);
	vtd_queue_sync(d);
}

void vtd_flush_iotlb(struct vtd_driver *d, unsigned granularity, uint16_t did, uint64_t address, unsigned am)
{
	vtd_queue_put(d, VTD_D_IOTLB | granularity << 4 | (uint64_t)did << 16, address | am);
	vtd_queue_sync(d);
}

void vtd_flush_pasid_cache(struct vtd_driver *d, unsigned granularity, uint16_t did, uint32_t pasid)
{
	vtd_queue_put(d, VTD_D_PASID_CACHE | granularity << 4 | (uint64_t)did << 16 | (uint64_t)pasid << 32, 0);
	vtd_queue_sync(d);
}

void vtd_flush_pasid_iotlb(struct vtd_driver *d, bool page, uint16_t did, uint32_t pasid, uint64_t address, unsigned am)
{
	uint64_t granularity = page ? 3 : 2;

	vtd_queue_put(d, VTD_D_PASID_IOTLB | granularity << 4 | (uint64_t)did << 16 | (uint64_t)pasid << 32,
		      address | am);
	vtd_queue_sync(d);
}

/* The table that an entry points to, made on demand with `link` in the entry. */
static uint64_t follow(struct vtd_driver *d, uint64_t gpa, uint64_t link)
{
	uint64_t entry = atomic_load(vtd_word(d, gpa));

	if (!entry) {
		entry = vtd_page(d) | link;
		vtd_set(d, gpa, entry);
	}
	return entry & VTD_PT_ADDRESS;
}

uint64_t vtd_context_at(struct vtd_driver *d, uint16_t source)
{
	return follow(d, d->root + vtd_root_offset(source), VTD_ENTRY_P) + vtd_context_offset(source);
}

void vtd_set_context(struct vtd_driver *d, uint16_t source, uint64_t low, uint64_t high)
{
	uint64_t at = vtd_context_at(d, source);

	vtd_set(d, at + 8, high);
	vtd_set(d, at, low);
}

uint64_t vtd_s_context_at(struct vtd_driver *d, uint16_t source)
{
	uint64_t half = vtd_s_context_upper(source) ? 8 : 0;

	return follow(d, d->root + vtd_root_offset(source) + half, VTD_ENTRY_P) + vtd_s_context_offset(source);
}

uint64_t vtd_pasid_at(struct vtd_driver *d, uint16_t source, uint32_t pasid)
{
	uint64_t directory = follow(d, vtd_s_context_at(d, source), VTD_ENTRY_P);

	return follow(d, directory + vtd_directory_offset(pasid), VTD_ENTRY_P) + vtd_pasid_offset(pasid);
}

void vtd_set_pasid(struct vtd_driver *d, uint16_t source, uint32_t pasid, const uint64_t words[3])
{
	uint64_t at = vtd_pasid_at(d, source, pasid);

	for (unsigned i = 3; i--;)
		vtd_set(d, at + i * sizeof(words[0]), words[i]);
}

struct vtd_tables vtd_second_stage(struct vtd_driver *d, unsigned levels)
{
	return (struct vtd_tables){vtd_page(d), levels, VTD_SS_R | VTD_SS_W};
}

struct vtd_tables vtd_first_stage(struct vtd_driver *d, unsigned levels)
{
	return (struct vtd_tables){vtd_page(d), levels, VTD_FS_P | VTD_FS_RW | VTD_FS_US};
}

uint64_t vtd_entry_at(struct vtd_driver *d, const struct vtd_tables *t, uint64_t iova, unsigned level)
{
	uint64_t table = t->top;

	for (unsigned at = t->levels;; at--) {
		unsigned shift = VTD_PT_PAGE_SHIFT + VTD_PT_INDEX_BITS * (at - 1);
		uint64_t entry = table + (iova >> shift & 511) * 8;

		if (at == level)
			return entry;
		table = follow(d, entry, t->link);
	}
}

void vtd_map(struct vtd_driver *d, const struct vtd_tables *t, uint64_t iova, uint64_t entry)
{
	vtd_set(d, vtd_entry_at(d, t, iova, 1), entry);
}

struct viommu_endpoint *vtd_device(struct vtd_driver *d, uint16_t source)
{
	return viommu_endpoint_find(d->v, source);
}

int64_t vtd_peek(struct vtd_driver *d, uint16_t source, uint64_t iova)
{
	uint64_t word;
	int err = viommu_dma_read(vtd_device(d, source), (struct viommu_iova){iova}, &word, sizeof(word));

	return err ? err : (int64_t)word;
}

int vtd_poke(struct vtd_driver *d, uint16_t source, uint64_t iova)
{
	struct viommu_section section;
	struct viommu_span span;

	assert_int_equal(viommu_dma_begin(vtd_device(d, source), &section), 0);
	int err = viommu_dma_translate(&section, (struct viommu_iova){iova}, 8, VIOMMU_WRITE, &span);

	viommu_dma_end(&section);
	return err;
}

struct vtd_seen vtd_take_fault(struct vtd_driver *d)
{
	uint32_t status = (uint32_t)viommu_vtd_read(d->unit, VTD_FSTS, 4);
	unsigned at = VTD_FRCD + VTD_FRCD_SIZE * (unsigned)vtd_field(status, 15, 8);
	struct vtd_seen seen = {0};

	if (!(status & VTD_FSTS_PPF))
		return seen;
	uint32_t top = (uint32_t)viommu_vtd_read(d->unit, at + 12, 4);

	while (!(top >> 31)) { /* the one that FRI named is taken, and others have come since */
		at = at + VTD_FRCD_SIZE < VTD_FRCD + 8 * VTD_FRCD_SIZE ? at + VTD_FRCD_SIZE : VTD_FRCD;
		top = (uint32_t)viommu_vtd_read(d->unit, at + 12, 4);
	}
	seen.reason = top & 0xff;
	seen.read = top >> 30 & 1;
	seen.source = (uint16_t)viommu_vtd_read(d->unit, at + 8, 4);
	seen.info = viommu_vtd_read(d->unit, at, 8);
	viommu_vtd_write(d->unit, at + 12, 1u << 31, 4);
	return seen;
}

void vtd_expect_fault(struct vtd_driver *d, uint16_t source, uint64_t iova, unsigned access, unsigned reason)
{
	int64_t err = access == VIOMMU_WRITE ? vtd_poke(d, source, iova) : vtd_peek(d, source, iova);
	struct vtd_seen seen = vtd_take_fault(d);

	assert_true(err < 0);
	assert_int_equal(seen.reason, reason);
	if (!reason)
		return;
	assert_int_equal(seen.source, source);
	assert_int_equal(seen.read, access != VIOMMU_WRITE);
	assert_int_equal(seen.info, iova & ~0xfffull);
}
