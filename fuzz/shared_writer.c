/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shared table with its writer. The guest maps pages and leaves of 2 MiB and 1 GiB, and invalidates what it likes,
 * parts of leaves included. A reader finds what the guest maps and nothing else. It never finds what was invalidated,
 * but whatever else it found before, as long as the table has room. An invalidation completes exactly when the readers
 * have left that were inside before it.
 */
#include <errno.h>
#include <sys/mman.h>

#include "fuzz/fuzz.h"
#include "lib/core/internal.h"
#include "lib/vhost_user/table/layout.h"
#include "lib/vhost_user/table/view.h"
#include "viommu/shared_writer.h"

enum { MAPPINGS = 8, STEPS = 64, LEVEL_1 = 1 << 9, LEVEL_2 = 1 << 18, MEMORY_PAGES = 4 * LEVEL_2, DENSE_MAX = 1200 };
enum { SLOTS = 4, OWN_SLOT = SLOTS - 1, AREAS = 4, PLACES = 20, SPARE_NODES = 12 };

/* How the library learns what is mapped. */
enum kind { KNOWN, TOLD, ASKED, KINDS };

/* In pages. */
struct mapping {
	struct range pages;
	uint64_t gpa;
	unsigned access;
	bool there;
};

static const uint64_t areas[AREAS] = {0, 5 * LEVEL_2 - LEVEL_1, (1ull << 27) - LEVEL_2,
				      (1ull << 52) - LEVEL_2 - 2 * LEVEL_1};

/* On both sides of the ends of leaves of all sizes. All that is compared lies here. */
static const uint32_t places[PLACES] = {0,
					1,
					2,
					LEVEL_1 - 1,
					LEVEL_1,
					LEVEL_1 + 1,
					LEVEL_1 + 7,
					2 * LEVEL_1 - 1,
					2 * LEVEL_1,
					2 * LEVEL_1 + 1,
					3 * LEVEL_1,
					LEVEL_2 / 2,
					LEVEL_2 - 1,
					LEVEL_2,
					LEVEL_2 + 1,
					LEVEL_2 + LEVEL_1 - 2,
					LEVEL_2 + LEVEL_1 - 1,
					LEVEL_2 + LEVEL_1,
					LEVEL_2 + LEVEL_1 + 1,
					LEVEL_2 + 2 * LEVEL_1 - 1};

static struct {
	struct viommu *v;
	struct viommu_domain *domain;
	struct viommu_endpoint *endpoint;
	struct viommu_inval *inval;
	struct viommu_shared *shared;
	struct viommu_shared_view *view;
	struct viommu_shared_reader readers[OWN_SLOT];
	bool inside[OWN_SLOT], early[OWN_SLOT]; /* early: before the invalidation that is pending */
	bool attached, pending;
	bool tight; /* the table has been nearly full, so that it may have lost anything */
	enum kind kind;
	uint64_t table_bytes;
	unsigned woken, failed;
} life;

static struct mapping guest[MAPPINGS], gone; /* gone: what was unmapped last */

static bool had[AREAS][PLACES]; /* what a reader found */

static const struct mapping *mapping_at(uint64_t page)
{
	for (unsigned i = 0; i < MAPPINGS; i++)
		if (guest[i].there && range_has(guest[i].pages, page))
			return &guest[i];
	return NULL;
}

/* The first page of a mapping behind a page, where there is one. */
static bool next_mapping(uint64_t page, uint64_t *first)
{
	bool found = false;

	for (unsigned i = 0; i < MAPPINGS; i++)
		if (guest[i].there && guest[i].pages.first > page && (!found || guest[i].pages.first < *first)) {
			*first = guest[i].pages.first;
			found = true;
		}
	return found;
}

/* The largest leaf around a page that a table in guest memory can have. */
static struct range leaf_at(const struct mapping *mapping, uint64_t page)
{
	for (unsigned level = 2; level; level--) {
		const uint64_t size = shared_pages(level);
		const struct range leaf = {page & ~(size - 1), page | (size - 1)};

		if (range_contains(mapping->pages, leaf) && !((mapping->gpa ^ mapping->pages.first) & (size - 1)))
			return leaf;
	}
	return (struct range){page, page};
}

static int walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	const uint64_t page = iova >> SHARED_PAGE_SHIFT;
	const struct mapping *mapping = mapping_at(page);
	uint64_t next;

	(void)opaque;
	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (!mapping) {
		result->hole = next_mapping(page, &next) ? (next << SHARED_PAGE_SHIFT) - 1 : UINT64_MAX;
		return -EFAULT;
	}
	result->reason = VIOMMU_FAULT_PERMISSION;
	if (access & ~mapping->access)
		return -EFAULT;

	const struct range leaf = leaf_at(mapping, page);

	result->iova =
		(struct range){leaf.first << SHARED_PAGE_SHIFT, leaf.last << SHARED_PAGE_SHIFT | (SHARED_NODE - 1)};
	result->gpa = (mapping->gpa + (leaf.first - mapping->pages.first)) << SHARED_PAGE_SHIFT;
	result->access = mapping->access;
	return 0;
}

static const struct walk_ops told_ops = {.walk = walk, .told = true}, asked_ops = {.walk = walk};

static void on_pending(void *opaque)
{
	(void)opaque;
	life.woken++;
}

static void on_failed(void *opaque)
{
	(void)opaque;
	life.failed++;
}

/* Once the table may have lost something for want of nodes, it may have lost anything. */
static void note_room(void)
{
	struct viommu_shared_stats stats = {.size = sizeof(stats)};

	CHECK(!viommu_shared_stats_get(life.shared, &stats), "no counters");
	CHECK(stats.bytes < life.table_bytes, "%llu bytes in use", (unsigned long long)stats.bytes);
	if (stats.full || stats.bytes + (uint64_t)SPARE_NODES * SHARED_NODE > life.table_bytes)
		life.tight = true;
}

/* True: this mapping has the page at this place, with these rights. */
static bool says(const struct mapping *mapping, uint64_t page, uint64_t gpa, unsigned access)
{
	return mapping && mapping->there && range_has(mapping->pages, page) && access == mapping->access &&
	       gpa == (mapping->gpa + (page - mapping->pages.first)) << SHARED_PAGE_SHIFT;
}

/* Both ends of what is found are the guest's. @late: a reader that may see what was there before */
static void check_extent(const struct viommu_shared_extent *extent, uint64_t page, bool late)
{
	const uint64_t pages[] = {extent->first.value >> SHARED_PAGE_SHIFT, page,
				  extent->last.value >> SHARED_PAGE_SHIFT};

	CHECK(pages[0] <= page && page <= pages[2], "page 0x%llx is not in it", (unsigned long long)page);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t gpa = extent->gpa.value + ((pages[i] - pages[0]) << SHARED_PAGE_SHIFT);

		CHECK(says(mapping_at(pages[i]), pages[i], gpa, extent->access) ||
			      (late && says(&gone, pages[i], gpa, extent->access)),
		      "page 0x%llx is found at 0x%llx", (unsigned long long)pages[i], (unsigned long long)gpa);
	}
}

static int find(struct viommu_shared_reader *reader, uint64_t page, unsigned access, bool late)
{
	const struct mapping *mapping = mapping_at(page);
	struct viommu_shared_extent extent;
	const int err =
		viommu_shared_find(reader, (struct viommu_iova){page << SHARED_PAGE_SHIFT | 5}, access, &extent);

	if (!err)
		check_extent(&extent, page, late);
	else
		CHECK(err == -ENOENT || (err == -EACCES && (late || (mapping && access & ~mapping->access))),
		      "page 0x%llx: error %d", (unsigned long long)page, err);
	return err;
}

/* All places as a reader that comes in now finds them. What was found before, and lies outside `out`, is there still.
 */
static void compare(struct range out)
{
	struct viommu_shared_reader reader;

	note_room();
	CHECK(!viommu_shared_enter(life.view, OWN_SLOT, &reader), "cannot get in");
	for (unsigned area = 0; area < AREAS; area++)
		for (unsigned i = 0; i < PLACES; i++) {
			const uint64_t page = areas[area] + places[i];
			const bool found = !find(&reader, page, 0, false);
			const bool stays = had[area][i] && !range_has(out, page);
			const bool brought = life.attached && life.kind != ASKED && mapping_at(page);

			CHECK(life.attached || !found, "page 0x%llx is found", (unsigned long long)page);
			CHECK(found || life.tight || !(stays || brought), "page 0x%llx is lost",
			      (unsigned long long)page);
			CHECK(!found || brought || stays || life.kind != ASKED, "page 0x%llx was invalidated",
			      (unsigned long long)page);
			had[area][i] = found;
		}
	viommu_shared_leave(&reader);
}

static bool someone_early(void)
{
	for (unsigned i = 0; i < OWN_SLOT; i++)
		if (life.inside[i] && life.early[i])
			return true;
	return false;
}

static void check_pending(void)
{
	const int expected = life.pending && someone_early() ? -EAGAIN : 0;

	CHECK(viommu_shared_poll(life.shared) == expected, "not %d", expected);
	if (!life.pending)
		return;
	CHECK(viommu_inval_poll(life.inval) == expected, "not %d", expected);
	life.pending = expected;
}

static void leave(unsigned slot)
{
	if (life.inside[slot])
		viommu_shared_leave(&life.readers[slot]);
	life.inside[slot] = false;
}

/* Nothing is pending. */
static void settle(void)
{
	for (unsigned i = 0; i < OWN_SLOT && life.pending; i++)
		if (life.early[i])
			leave(i);
	check_pending();
	CHECK(!life.pending, "nobody is inside");
}

/* What the invalidation has collected begins, and is outside of the table at once. @own: it concerns the endpoint */
static void begin(struct range out, bool own)
{
	const unsigned woken = life.woken;

	for (unsigned i = 0; i < OWN_SLOT; i++)
		life.early[i] = own && life.inside[i];
	viommu_inval_begin(life.inval);
	life.pending = true;
	CHECK(life.woken > woken || !someone_early(), "nobody is told to poll");
	compare(out);
	check_pending();
}

static void evict(struct range pages)
{
	const struct range iova = {pages.first << SHARED_PAGE_SHIFT,
				   pages.last << SHARED_PAGE_SHIFT | (SHARED_NODE - 1)};

	CHECK(!viommu__domain_evict(life.domain, iova, false, life.inval), "no eviction");
	begin(pages, life.attached);
}

/* Any: two places of an area. */
static struct range draw_range(struct tape *tape)
{
	const uint64_t base = areas[tape_below(tape, AREAS)];
	const unsigned a = tape_below(tape, PLACES), b = tape_below(tape, PLACES);

	return (struct range){base + places[a < b ? a : b], base + places[a < b ? b : a]};
}

static uint64_t draw_page(struct tape *tape)
{
	const uint64_t base = areas[tape_below(tape, AREAS)];

	return base + places[tape_below(tape, PLACES)];
}

/* As leaves can be as large as the range allows, or as far as 2 MiB, or of a page each. */
static uint64_t draw_gpa(struct tape *tape, struct range pages)
{
	const uint8_t kind = tape_u8(tape);
	const uint64_t count = pages.last - pages.first + 1;

	if (kind < 64 && (count <= DENSE_MAX || life.kind == KNOWN))
		return kind;
	if (kind < 128)
		return pages.first % LEVEL_1 + (uint64_t)(kind % 64) * LEVEL_1;
	return pages.first % LEVEL_2 + (uint64_t)(kind & 1) * LEVEL_2;
}

static void map(struct tape *tape)
{
	struct mapping *mapping = &guest[tape_below(tape, MAPPINGS)];
	struct mapping new = {.pages = draw_range(tape), .there = true};

	new.gpa = draw_gpa(tape, new.pages);
	new.access = 1 + tape_below(tape, 3);
	for (unsigned i = 0; i < MAPPINGS; i++)
		if (mapping->there || (guest[i].there && range_overlaps(guest[i].pages, new.pages)))
			return;
	settle();
	*mapping = new;
	if (life.kind == TOLD)
		evict(new.pages);
	if (life.kind != KNOWN)
		return;
	CHECK(!viommu_map(life.domain, (struct viommu_iova){new.pages.first << SHARED_PAGE_SHIFT},
			  (struct viommu_iova){new.pages.last << SHARED_PAGE_SHIFT | (SHARED_NODE - 1)},
			  (struct viommu_gpa){new.gpa << SHARED_PAGE_SHIFT}, new.access),
	      "no mapping");
	compare(new.pages);
}

static void unmap(struct tape *tape)
{
	struct mapping *mapping = &guest[tape_below(tape, MAPPINGS)];

	if (!mapping->there)
		return;
	settle();
	gone = *mapping;
	mapping->there = false;
	if (life.kind != KNOWN) {
		evict(gone.pages);
		return;
	}
	CHECK(!viommu_unmap(life.domain, (struct viommu_iova){gone.pages.first << SHARED_PAGE_SHIFT},
			    (struct viommu_iova){gone.pages.last << SHARED_PAGE_SHIFT | (SHARED_NODE - 1)}, life.inval,
			    NULL),
	      "it stays");
	begin(gone.pages, life.attached);
}

/* Nothing has changed. */
static void invalidate(struct tape *tape)
{
	const struct range pages = draw_range(tape);

	settle();
	if (life.kind != KNOWN)
		evict(pages);
}

static void miss(struct tape *tape)
{
	const uint64_t page = draw_page(tape);
	const unsigned access = 1 + tape_below(tape, 3);
	const struct mapping *mapping = life.attached ? mapping_at(page) : NULL;
	const int expected = !mapping ? -EFAULT : access & ~mapping->access ? -EACCES : 0;
	const int err = viommu_shared_miss(life.shared, (struct viommu_iova){page << SHARED_PAGE_SHIFT}, access);
	struct viommu_shared_reader reader;

	note_room();
	CHECK(err == expected || (!expected && err == -ENOSPC && life.tight), "error %d, not %d", err, expected);
	CHECK(!viommu_shared_enter(life.view, OWN_SLOT, &reader), "cannot get in");
	CHECK(err || !find(&reader, page, access, false), "page 0x%llx was brought", (unsigned long long)page);
	for (unsigned area = 0; area < AREAS; area++)
		for (unsigned i = 0; i < PLACES; i++)
			had[area][i] |= !find(&reader, areas[area] + places[i], 0, false);
	viommu_shared_leave(&reader);
	compare((struct range){1, 0});
}

/* Goes in, or out, or looks around. */
static void read(struct tape *tape)
{
	const unsigned slot = tape_below(tape, OWN_SLOT), what = tape_below(tape, 4);

	if (!life.inside[slot]) {
		CHECK(!viommu_shared_enter(life.view, slot, &life.readers[slot]), "slot %u", slot);
		life.inside[slot] = true;
		life.early[slot] = false;
	} else if (!what) {
		leave(slot);
	} else {
		/* As long as it is inside it may use what it saw once. */
		find(&life.readers[slot], draw_page(tape), what, true);
	}
}

static void move(void)
{
	settle();
	CHECK(!(life.attached ? viommu_detach(life.endpoint, life.inval)
			      : viommu_attach(life.endpoint, life.domain, life.inval)),
	      "cannot be moved");
	life.attached = !life.attached;
	begin((struct range){0, UINT64_MAX}, !life.attached);
}

static void refill(void)
{
	settle();
	viommu_shared_refill(life.shared);
	compare((struct range){0, UINT64_MAX});
}

/* True: the table has failed, which is for good. */
static bool forge(struct tape *tape)
{
	const uint64_t word = tape_u8(tape) & 1 ? tape_u8(tape) : tape_u64(tape),
		       generation = atomic_load_explicit(&life.view->table->generation, memory_order_relaxed);
	const unsigned slot = tape_below(tape, OWN_SLOT);
	const bool wrong = word > generation;

	leave(slot);
	atomic_store_explicit(&life.view->epochs[slot].inside, word, memory_order_relaxed);

	const int err = viommu_shared_poll(life.shared);

	CHECK(wrong == (err == -EPROTO) && wrong == life.failed, "0x%llx is taken for a generation: error %d",
	      (unsigned long long)word, err);
	atomic_store_explicit(&life.view->epochs[slot].inside, 0, memory_order_relaxed);
	return wrong;
}

/* False: the life is over. */
static bool step(struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);

	if (choice < 60)
		map(tape);
	else if (choice < 90)
		unmap(tape);
	else if (choice < 130)
		invalidate(tape);
	else if (choice < 185)
		miss(tape);
	else if (choice < 235)
		read(tape);
	else if (choice < 243)
		refill();
	else if (choice < 250)
		move();
	else
		return !forge(tape);
	return true;
}

static void *memory_of_guest(void)
{
	static void *memory;

	if (!memory)
		memory = mmap(NULL, (uint64_t)MEMORY_PAGES << SHARED_PAGE_SHIFT, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(memory != MAP_FAILED, "no memory");
	return memory;
}

static void open_table(void)
{
	const struct viommu_shared_config config = {.size = sizeof(config),
						    .table_bytes = life.table_bytes,
						    .slots = SLOTS,
						    .pending = on_pending,
						    .failed = on_failed};
	struct viommu_shared_files files;

	CHECK(!viommu_shared_create(life.endpoint, &config, &life.shared), "no table");
	viommu_shared_files_get(life.shared, &files);
	CHECK(!viommu_shared_view_open(&files, &life.view), "it cannot be opened");
}

static void open_life(uint8_t kind)
{
	const struct viommu_config config = {.size = sizeof(config), .deadline_ms = 600000};

	memset(&life, 0, sizeof(life));
	memset(guest, 0, sizeof(guest));
	memset(&gone, 0, sizeof(gone));
	memset(had, 0, sizeof(had));
	life.kind = kind % KINDS;
	life.table_bytes = kind & 128 ? SHARED_TABLE_MIN : 16 * SHARED_TABLE_MIN;
	CHECK(!viommu_create(&config, &life.v), "no context");
	CHECK(!viommu_mem_add(life.v, (struct viommu_gpa){0}, (uint64_t)MEMORY_PAGES << SHARED_PAGE_SHIFT,
			      memory_of_guest(), -1, 0),
	      "no memory");
	CHECK(!(life.kind == KNOWN ? viommu_domain_create(life.v, 1, &life.domain)
				   : viommu__domain_create_walked(life.v, life.kind == TOLD ? &told_ops : &asked_ops,
								  NULL, &life.domain)),
	      "no domain");
	CHECK(!viommu_endpoint_add(life.v, 1, "device", &life.endpoint), "no endpoint");
	CHECK(!viommu_inval_create(life.v, &life.inval), "no invalidation");
	open_table();
	move();
}

static void close_life(bool failed)
{
	for (unsigned i = 0; i < OWN_SLOT; i++)
		leave(i);
	if (!failed)
		settle();
	viommu_shared_view_close(life.view);
	viommu_shared_destroy(life.shared);
	CHECK(!viommu_inval_poll(life.inval), "the table is gone, and an invalidation is pending");
	if (life.attached)
		CHECK(!viommu_detach(life.endpoint, life.inval), "it stays attached");
	viommu_inval_begin(life.inval);
	CHECK(!viommu_inval_poll(life.inval), "nobody is there, and an invalidation is pending");
	CHECK(!viommu_endpoint_remove(life.endpoint), "it stays");
	viommu_domain_destroy(life.domain);
	viommu_inval_destroy(life.inval);
	viommu_destroy(life.v);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	bool goes_on = true;

	open_life(tape_u8(&tape));
	for (unsigned i = 0; tape.left && goes_on && i < STEPS; i++)
		goes_on = step(&tape);
	close_life(!goes_on);
	return 0;
}
