/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random requests, right and wrong ones, against a plain reference: after each batch every status must be the same, and
 * so must be what becomes of accesses of every endpoint: address, length, error and fault event.
 *
 * VIOMMU_TEST_SEED=N runs that seed alone (a failure names it), VIOMMU_TEST_STEPS=N so many requests of each; FULL=1
 * runs ten times as many seeds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/le.h"
#include "tests/support/seeds.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_reference.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEPS = 20000 };
#else
enum { STEPS = 100000 };
#endif

enum {
	SEEDS = 10,
	BATCH = 6,
	WINDOWS = 4,
	WINDOW = 32,
	RECENT = 8,
	UNWRITTEN = 15,
	MEMORY_FIRST = 0x3000,
	RW = VIO_MAP_F_READ | VIO_MAP_F_WRITE
};

/* How often each status was given, and each end of an access. */
struct tally {
	uint64_t answers[UNWRITTEN + 1], outcomes[REF_NO_MEMORY + 1];
};

/*
 * One random device with its reference. Addresses come from a few windows of WINDOW granules: start, MSI, end of input,
 * end of all.
 */
struct run {
	uint64_t seed, random, step;
	struct reference ref;
	uint64_t windows[WINDOWS];
	struct viommu *v;
	struct viommu_virtio *dev;
	struct viommu_endpoint *endpoints[REF_ENDPOINTS];
	uint64_t recent[RECENT]; /* addresses at the ends of what was asked for last */
	unsigned recent_next;
	struct packet packets[BATCH];
	struct viommu_virtio_request requests[BATCH];
	int wanted[BATCH];
	unsigned count;
	struct tally *tally;
	uint8_t ram[DRIVER_RAM] __attribute__((aligned(4096)));
};

#define CHECK(run, condition, ...)                                                                                     \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			broken(run, __VA_ARGS__);                                                                      \
	} while (0)

__attribute__((format(printf, 2, 3))) static void broken(const struct run *run, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fail_msg("VIOMMU_TEST_SEED=%" PRIu64 ", after %" PRIu64 " requests: %s", run->seed, run->step, what);
}

/* Xorshift (Marsaglia); a seed of 0 would stay 0. */
static uint32_t below(struct run *run, uint32_t limit)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)(run->random >> 32) % limit;
}

static bool one_in(struct run *run, uint32_t limit)
{
	return below(run, limit) == 0;
}

static uint64_t random_address(struct run *run)
{
	return run->windows[below(run, WINDOWS)] + below(run, WINDOW) * run->ref.granule;
}

/* A part of a granule: any number of bytes, or what a smaller granule would allow. */
static uint64_t random_part(struct run *run)
{
	const uint64_t granule = run->ref.granule;

	return one_in(run, 2) ? below(run, (uint32_t)granule) : below(run, 4) * granule / 4;
}

static void remember(struct run *run, uint64_t address)
{
	run->recent[run->recent_next++ % RECENT] = address;
}

/* Mostly whole granules, mostly short; now and then across windows, backwards, or with an end anywhere. */
static void random_range(struct run *run, uint64_t *first, uint64_t *last)
{
	const uint64_t granule = run->ref.granule;

	*first = random_address(run);
	*last = *first + (1 + below(run, 6)) * granule - 1;
	if (one_in(run, 12))
		*last = random_address(run) + granule - 1;
	if (one_in(run, 40))
		*first += random_part(run);
	if (one_in(run, 40))
		*last -= random_part(run);
	if (one_in(run, 300))
		*first = 0;
	if (one_in(run, 300))
		*last = UINT64_MAX;
	remember(run, *first);
	remember(run, *last);
	remember(run, *first - 1);
	remember(run, *last + 1);
}

static uint64_t random_phys(struct run *run)
{
	const uint64_t granule = run->ref.granule;

	if (one_in(run, 50))
		return 0 - (1 + below(run, 4)) * granule; /* wraps, if what is mapped is longer */
	if (one_in(run, 50))
		return random_part(run);
	return below(run, (uint32_t)(5 * DRIVER_RAM / 4 / granule)) * granule;
}

/* Mostly one that exists. */
static uint32_t random_domain(struct run *run)
{
	const int there = run->ref.attached[below(run, REF_ENDPOINTS)];

	if (there != REF_UNATTACHED && !one_in(run, 6))
		return (uint32_t)there;
	return one_in(run, 30) ? UINT32_MAX - below(run, 2) : below(run, REF_DOMAINS);
}

static uint32_t random_endpoint(struct run *run)
{
	return one_in(run, 30) ? NOBODY : run->ref.ids[below(run, REF_ENDPOINTS)];
}

static int make_attach(struct run *run, struct packet *packet)
{
	const uint32_t domain = one_in(run, 2) ? below(run, REF_DOMAINS) : random_domain(run);
	const uint32_t endpoint = random_endpoint(run);
	const uint32_t flags = one_in(run, 5) ? VIO_ATTACH_F_BYPASS : one_in(run, 40) ? 1u << below(run, 32) : 0;
	const uint32_t reserved = one_in(run, 40) ? 1u << below(run, 32) : 0;

	packet_attach(packet, domain, endpoint, flags);
	le32_put(packet->in + VIO_ATTACH_RESERVED, reserved);
	return ref_attach(&run->ref, domain, endpoint, flags, reserved);
}

static int make_detach(struct run *run, struct packet *packet)
{
	const int index = (int)below(run, REF_ENDPOINTS), there = run->ref.attached[index];
	const bool right = there != REF_UNATTACHED && !one_in(run, 4);
	const uint32_t domain = right ? (uint32_t)there : random_domain(run);
	const uint32_t endpoint = right ? run->ref.ids[index] : random_endpoint(run);

	packet_detach(packet, domain, endpoint);
	memset(packet->in + 12, (int)below(run, 256), 8); /* reserved: ignored */
	return ref_detach(&run->ref, domain, endpoint);
}

/* Goes on where another mapping ends, in memory too: accesses may run across both. */
static void continue_mapping(struct run *run, uint32_t id, struct ref_mapping *mapping)
{
	const struct ref_domain *domain = &run->ref.domains[id % REF_DOMAINS];

	if (!domain->count || one_in(run, 2))
		return;
	const struct ref_mapping *other = &domain->mappings[below(run, domain->count)];

	mapping->first = other->last + 1;
	mapping->last = mapping->first + (1 + below(run, 3)) * run->ref.granule - 1;
	mapping->phys = other->phys + (other->last - other->first) + 1;
	remember(run, mapping->first);
	remember(run, other->last);
}

static int make_map(struct run *run, struct packet *packet)
{
	struct ref_mapping mapping = {.phys = random_phys(run), .flags = below(run, 4)};
	const uint32_t domain = random_domain(run);

	random_range(run, &mapping.first, &mapping.last);
	continue_mapping(run, domain, &mapping);
	if (one_in(run, 12))
		mapping.flags |= VIO_MAP_F_MMIO;
	if (one_in(run, 40))
		mapping.flags |= 1u << below(run, 32);
	packet_map(packet, domain, mapping.first, mapping.last, mapping.phys, mapping.flags);
	return ref_map(&run->ref, domain, &mapping);
}

/* Often just what a mapping has, which random ends seldom hit. */
static int make_unmap(struct run *run, struct packet *packet)
{
	const uint32_t id = random_domain(run), reserved = one_in(run, 40) ? 1u << below(run, 32) : 0;
	uint64_t first, last;

	random_range(run, &first, &last);
	if (id < REF_DOMAINS && run->ref.domains[id].count && !one_in(run, 3)) {
		const struct ref_domain *domain = &run->ref.domains[id];
		const struct ref_mapping *mapping = &domain->mappings[below(run, domain->count)];

		first = mapping->first;
		last = mapping->last;
		remember(run, first);
		remember(run, last);
	}
	packet_unmap(packet, id, first, last);
	le32_put(packet->in + VIO_UNMAP_RESERVED, reserved);
	return ref_unmap(&run->ref, id, first, last, reserved);
}

static int make_probe(struct run *run, struct packet *packet)
{
	const uint32_t endpoint = random_endpoint(run);
	const uint32_t room = below(run, 2 * REF_RESV * VIO_RESV_SIZE);

	packet_probe(packet, endpoint, room);
	return ref_probe(&run->ref, endpoint, room);
}

/* What cannot be understood: a type that there is not, or a buffer too short for anything. */
static int make_junk(struct run *run, struct packet *packet)
{
	static const uint8_t types[] = {0, 6, 7, 0x10, 0x80, 0xff};
	const uint32_t domain = random_domain(run), endpoint = random_endpoint(run);

	switch (below(run, 3)) {
	case 0:
		packet_map(packet, domain, 0, run->ref.granule - 1, 0, RW);
		packet->in[0] = types[below(run, sizeof(types))];
		break;
	case 1:
		packet_attach(packet, domain, endpoint, 0);
		packet->in_iov.iov_len = below(run, VIO_ATTACH_SIZE);
		break;
	default:
		packet_unmap(packet, domain, 0, UINT64_MAX);
		packet->out_iov.iov_len = below(run, VIO_TAIL_SIZE);
	}
	return REF_UNWRITTEN;
}

static int make_packet(struct run *run, struct packet *packet)
{
	const uint32_t choice = below(run, 100);

	if (choice < 50)
		return make_map(run, packet);
	if (choice < 86)
		return make_unmap(run, packet);
	if (choice < 92)
		return make_attach(run, packet);
	if (choice < 95)
		return make_detach(run, packet);
	return choice < 97 ? make_probe(run, packet) : make_junk(run, packet);
}

static void check_regions(struct run *run, const struct packet *packet)
{
	for (unsigned i = 0; i < run->ref.resv_count; i++) {
		const uint8_t *property = packet->out + i * VIO_RESV_SIZE;
		uint8_t wanted[VIO_RESV_SIZE] = {VIO_PROPERTY_T_RESV_MEM, 0, VIO_RESV_SIZE - VIO_PROPERTY_HEAD};

		wanted[VIO_RESV_SUBTYPE] = run->ref.resv[i].msi ? VIO_RESV_T_MSI : VIO_RESV_T_RESERVED;
		le64_put(wanted + VIO_RESV_START, run->ref.resv[i].first);
		le64_put(wanted + VIO_RESV_END, run->ref.resv[i].last);
		CHECK(run, !memcmp(property, wanted, sizeof(wanted)), "PROBE: property %u is wrong", i);
	}
}

static void check_answer(struct run *run, unsigned index)
{
	struct packet *packet = &run->packets[index];
	const unsigned type = packet->in[0];

	packet->request.written = run->requests[index].written;

	const int status = packet_status(packet), wanted = run->wanted[index];

	CHECK(run, status == wanted, "request %u of %u, type %u: status %d instead of %d", index + 1, run->count, type,
	      status, wanted);
	run->tally->answers[status & UNWRITTEN]++;
	if (status == NOT_WRITTEN)
		CHECK(run, packet->out[0] == 0xcc, "type %u: written, but not said so", type);
	else if (type != VIO_T_PROBE)
		CHECK(run, packet->request.written == VIO_TAIL_SIZE, "type %u: used length", type);
	else if (status == VIO_S_OK)
		check_regions(run, packet);
}

static const int errors[] = {
	[REF_REACHES] = 0,        [REF_BLOCKED] = -EFAULT,   [REF_NOT_MAPPED] = -EFAULT,
	[REF_NO_RIGHT] = -EACCES, [REF_NO_MEMORY] = -EFAULT,
};

static void check_event(struct run *run, unsigned endpoint, uint64_t address, uint32_t access, enum ref_outcome outcome)
{
	uint8_t event[VIO_FAULT_SIZE], wanted[VIO_FAULT_SIZE] = {0};

	wanted[VIO_FAULT_REASON] = outcome == REF_BLOCKED     ? VIO_FAULT_R_DOMAIN
				   : outcome == REF_NO_MEMORY ? VIO_FAULT_R_UNKNOWN
							      : VIO_FAULT_R_MAPPING;
	le32_put(wanted + VIO_FAULT_FLAGS, access | VIO_FAULT_F_ADDRESS);
	le32_put(wanted + VIO_FAULT_ENDPOINT, run->ref.ids[endpoint]);
	le64_put(wanted + VIO_FAULT_ADDRESS, address);
	CHECK(run, !viommu_virtio_event(run->dev, event, sizeof(event)), "no event for a fault at 0x%" PRIx64, address);
	CHECK(run, !memcmp(event, wanted, sizeof(event)), "wrong event for a fault at 0x%" PRIx64, address);
}

/* Every page of the piece that we got leads where the reference says, and it is no longer than that. */
static void check_span(struct run *run, unsigned endpoint, uint32_t access, const struct viommu_span *span,
		       uint64_t len)
{
	const uint64_t address = span->iova.value;

	CHECK(run, span->len && span->len <= len, "length %" PRIu64 " at 0x%" PRIx64, span->len, address);
	for (uint64_t offset = 0; offset < span->len; offset += 4096 - ((address + offset) & 4095)) {
		uint64_t gpa = 0;
		const enum ref_outcome outcome = ref_access(&run->ref, endpoint, address + offset, access, &gpa);

		CHECK(run, outcome == REF_REACHES && (uint8_t *)span->host + offset == run->ram + gpa,
		      "0x%" PRIx64 " + 0x%" PRIx64 " leads to the wrong place", address, offset);
	}
}

/* Many that end with a page, or a byte behind it. */
static uint64_t random_length(struct run *run, uint64_t address)
{
	const uint64_t room = UINT64_MAX - address, page = 4096 - (address & 4095);
	uint64_t wish = below(run, 3 * (uint32_t)run->ref.granule);

	if (one_in(run, 2))
		wish = page + below(run, 3) * 4096 - below(run, 2);
	return 1 + (wish < room ? wish : room);
}

static void check_translation(struct run *run, unsigned endpoint, struct viommu_section *section, uint64_t address)
{
	const uint32_t access = 1 + below(run, 3);
	const uint64_t len = random_length(run, address);
	struct viommu_span span;
	uint64_t gpa = 0;
	const enum ref_outcome outcome = ref_access(&run->ref, endpoint, address, access, &gpa);
	const int err = viommu_dma_translate(section, (struct viommu_iova){address}, len, access, &span);

	CHECK(run, err == errors[outcome], "endpoint %u, access %u to 0x%" PRIx64 ": %d instead of %d", endpoint,
	      access, address, err, errors[outcome]);
	run->tally->outcomes[outcome]++;
	if (err)
		check_event(run, endpoint, address, access, outcome);
	else
		check_span(run, endpoint, access, &span, len);
}

/* Two in one section: the second one finds what the first one left in it. */
static void check_access(struct run *run, unsigned endpoint, uint64_t address)
{
	struct viommu_section section;

	assert_int_equal(viommu_dma_begin(run->endpoints[endpoint], &section), 0);
	check_translation(run, endpoint, &section, address);
	address += below(run, 4 * (uint32_t)run->ref.granule) - 2 * run->ref.granule;
	check_translation(run, endpoint, &section, one_in(run, 2) ? address : address & ~4095ull);
	viommu_dma_end(&section);
}

static void check_accesses(struct run *run)
{
	for (unsigned endpoint = 0; endpoint < REF_ENDPOINTS; endpoint++) {
		check_access(run, endpoint, run->recent[below(run, RECENT)]);
		check_access(run, endpoint, run->recent[below(run, RECENT)]);
		check_access(run, endpoint, random_address(run) + below(run, (uint32_t)run->ref.granule));
	}
}

static void send_batch(struct run *run)
{
	run->count = one_in(run, 3) ? 1 + below(run, BATCH) : 1;
	for (unsigned i = 0; i < run->count; i++) {
		run->wanted[i] = make_packet(run, &run->packets[i]);
		run->requests[i] = run->packets[i].request;
	}
	run->step += run->count;
	CHECK(run, !viommu_virtio_submit(run->dev, run->requests, run->count), "a batch is pending");
	for (unsigned i = 0; i < run->count; i++)
		check_answer(run, i);
}

static void accept_some(struct run *run)
{
	const uint64_t offered = viommu_virtio_features(run->dev);
	uint64_t features = offered;

	if (one_in(run, 2))
		features &= ~(1ull << below(run, 7));
	viommu_virtio_set_features(run->dev, features);
	ref_accept(&run->ref, features & offered);
}

static void reset_device(struct run *run)
{
	viommu_virtio_reset(run->dev, false);
	ref_reset(&run->ref);
	CHECK(run, !viommu_virtio_poll(run->dev), "a reset is pending");
	check_accesses(run);
	accept_some(run);
}

static void write_bypass(struct run *run)
{
	const uint8_t value = (uint8_t)below(run, 2);

	viommu_virtio_config_write(run->dev, VIO_CONFIG_BYPASS, &value, 1);
	ref_write_bypass(&run->ref, value);
}

static void add_region(struct run *run, struct viommu_reserved *resv, uint64_t first, uint64_t granules, bool msi)
{
	struct reference *ref = &run->ref;
	const uint64_t last = first + granules * ref->granule - 1;

	resv[ref->resv_count] = (struct viommu_reserved){{first}, {last}, msi};
	ref->resv[ref->resv_count].first = first;
	ref->resv[ref->resv_count].last = last;
	ref->resv[ref->resv_count++].msi = msi;
}

/* The window at the end of the input range lies half in front of it, the last one ends at 2^64. */
static void choose_windows(struct run *run)
{
	const uint64_t size = WINDOW * run->ref.granule;

	run->windows[0] = 0;
	run->windows[1] = MSI_FIRST - size / 2;
	run->windows[2] = run->ref.input_last - size / 2 + 1;
	run->windows[3] = 0 - size;
}

static void make_device(struct run *run)
{
	static const unsigned bits[] = {32, 39, 48, 64};
	static const unsigned granules[] = {12, 12, 14, 16};
	const unsigned input_bits = bits[below(run, 4)], shift = granules[below(run, 4)];
	struct viommu_reserved resv[REF_RESV];
	struct reference *ref = &run->ref;
	struct viommu_virtio_config config = {
		.size = sizeof(struct viommu_virtio_config), .input_bits = input_bits, .resv = resv};

	ref->granule = 1ull << shift;
	ref->input_last = UINT64_MAX >> (64 - input_bits);
	ref->memory_first = MEMORY_FIRST;
	ref->memory_last = DRIVER_RAM - 1;
	choose_windows(run);
	add_region(run, resv, MSI_FIRST, 5, true);
	add_region(run, resv, 9 * ref->granule, 2, false);
	if (one_in(run, 2))
		add_region(run, resv, run->windows[2] + 3 * ref->granule, 1, false);
	config.resv_count = ref->resv_count;
	config.page_size_mask = one_in(run, 2) ? -ref->granule : ref->granule | 1ull << 30;
	ref->domain_first = config.domain_first = below(run, 2);
	ref->domain_last = config.domain_last = REF_DOMAINS - 1 - below(run, 2);
	ref->legacy = config.legacy_bypass = one_in(run, 4);
	ref->bypass = config.bypass = !ref->legacy && one_in(run, 3);
	assert_int_equal(viommu_virtio_create(run->v, &config, &run->dev), 0);
}

static void add_endpoints(struct run *run)
{
	for (unsigned i = 0; i < REF_ENDPOINTS; i++) {
		run->ref.ids[i] = 0x18 + 8 * i;
		run->ref.attached[i] = REF_UNATTACHED;
		assert_int_equal(viommu_endpoint_add(run->v, run->ref.ids[i], "endpoint", &run->endpoints[i]), 0);
		assert_int_equal(viommu_virtio_manage(run->dev, run->endpoints[i]), 0);
	}
}

static struct run *run_create(uint64_t seed, struct tally *tally)
{
	struct run *run = aligned_alloc(4096, (sizeof(*run) + 4095) & ~4095ul);

	assert_non_null(run);
	memset(run, 0, sizeof(*run));
	run->seed = seed;
	run->tally = tally;
	run->random = seed * 0x9e3779b97f4a7c15 + 1;
	assert_int_equal(viommu_create(NULL, &run->v), 0);
	assert_int_equal(viommu_mem_add(run->v, (struct viommu_gpa){MEMORY_FIRST}, DRIVER_RAM - MEMORY_FIRST,
					run->ram + MEMORY_FIRST, -1, 0),
			 0);
	make_device(run);
	add_endpoints(run);
	check_accesses(run);
	accept_some(run);
	return run;
}

static void run_destroy(struct run *run)
{
	viommu_virtio_destroy(run->dev);
	for (unsigned i = 0; i < REF_ENDPOINTS; i++)
		assert_int_equal(viommu_endpoint_remove(run->endpoints[i]), 0);
	viommu_destroy(run->v);
	free(run);
}

static void run_seed(uint64_t seed, uint64_t steps, struct tally *tally)
{
	struct run *run = run_create(seed, tally);

	while (run->step < steps) {
		send_batch(run);
		check_accesses(run);
		if (one_in(run, 200))
			write_bypass(run);
		if (one_in(run, 2000))
			reset_device(run);
	}
	run_destroy(run);
}

/* A test that never sees a status, or an end of an access, says nothing about it. */
static void check_tally(const struct tally *tally, uint64_t steps)
{
	static const unsigned statuses[] = {VIO_S_OK, VIO_S_INVAL, VIO_S_RANGE, VIO_S_NOENT, UNWRITTEN};

	for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		assert_true(tally->answers[statuses[i]] > steps / 50);
	for (unsigned i = 0; i <= REF_NO_MEMORY; i++)
		assert_true(tally->outcomes[i] > steps / 20);
}

static void test_random_requests_give_what_the_reference_gives(void **state)
{
	const struct seeds seeds = seeds_wanted(SEEDS, STEPS);
	struct tally tally = {0};

	(void)state;
	for (uint64_t seed = seeds.first; seed <= seeds.last; seed++)
		run_seed(seed, seeds.steps, &tally);
	if (!seeds.alone)
		check_tally(&tally, seeds.last * seeds.steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_requests_give_what_the_reference_gives)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
