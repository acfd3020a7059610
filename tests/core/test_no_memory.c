/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every allocation of the library fails once. Each scenario runs with its first allocation failing, then its second,
 * and so on until none fails any more. The call that meets the failure says so and changes nothing; made again, it
 * succeeds; the scenario then goes on as if nothing had happened, and at its end everything is freed.
 *
 * The linker sends the allocation functions of the program and of the library, which is linked statically, to the ones
 * below.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <viommu/shared_writer.h>

#include "lib/core/inval.h"
#include "lib/core/walk.h"
#include "tests/support/virtio_driver.h"

/* Calls until one fails (0: none does), how often one did, and blocks that are not freed. */
static unsigned countdown, failures;
static long live;

static bool fails(void)
{
	if (!countdown || --countdown)
		return false;
	failures++;
	return true;
}

static void *counted(void *block)
{
	live += block != NULL;
	return block;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	if (fails())
		return NULL;
	void *block = __real_realloc(old, size);

	return old ? block : counted(block);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
	live -= block != NULL;
	__real_free(block);
}

enum { RAM = 1 << 16, ENDPOINTS = 20, PLACES = 12, RW = VIOMMU_READ | VIOMMU_WRITE };

static uint8_t ram[RAM] __attribute__((aligned(4096)));

/* What scenarios make. */
struct scene {
	struct viommu *v;
	struct viommu_inval *inval;
	struct viommu_endpoint *endpoints[ENDPOINTS];
	unsigned endpoint_count;
	struct viommu_domain *domains[3];
	struct viommu_client *clients[4];
	struct viommu_virtio *dev;
	uint64_t told; /* the last ticket that a client was given */
};

static struct viommu_iova iova(uint64_t value)
{
	return (struct viommu_iova){value};
}

/* All that can be seen from outside: where each endpoint gets to, and how much is mapped. */
struct picture {
	void *host[ENDPOINTS][PLACES];
	int err[ENDPOINTS][PLACES];
	uint64_t maps, unmaps;
};

static void look(const struct scene *s, struct picture *picture)
{
	static const uint64_t places[PLACES] = {0,          0x1000,     0x2000,     0x8000,
						0x9000,     0xf000,     0x200000,   0x201000,
						0x40000000, 1ull << 40, 1ull << 52, UINT64_MAX - 0xfff};
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	memset(picture, 0, sizeof(*picture));
	for (unsigned e = 0; e < s->endpoint_count; e++) {
		for (unsigned p = 0; p < PLACES; p++) {
			struct viommu_section section;
			struct viommu_span span = {.host = NULL};

			assert_int_equal(viommu_dma_begin(s->endpoints[e], &section), 0);
			picture->err[e][p] = viommu_dma_translate(&section, iova(places[p]), 1, VIOMMU_READ, &span);
			picture->host[e][p] = picture->err[e][p] ? NULL : span.host;
			viommu_dma_end(&section);
		}
	}
	if (!s->v)
		return;
	viommu_stats_get(s->v, &stats);
	picture->maps = stats.maps;
	picture->unmaps = stats.unmaps;
}

/* Make a call; where it fails for lack of memory nothing has changed, and the second time it succeeds. */
#define TRY(scene, call)                                                                                               \
	do {                                                                                                           \
		struct picture before, after;                                                                          \
		const unsigned failed = failures;                                                                      \
		const long used = live;                                                                                \
                                                                                                                       \
		look(scene, &before);                                                                                  \
		int result = (call);                                                                                   \
		if (result) {                                                                                          \
			assert_int_equal(result, -ENOMEM);                                                             \
			assert_int_equal(failures, failed + 1);                                                        \
			look(scene, &after);                                                                           \
			assert_memory_equal(&before, &after, sizeof(before));                                          \
			expect_bounded(used);                                                                          \
			result = (call);                                                                               \
		}                                                                                                      \
		assert_int_equal(result, 0);                                                                           \
	} while (0)

/* A call that fails may keep what it has got for the next one (empty table nodes), and nothing else. */
static void expect_bounded(long used)
{
	enum { SPARE_NODES = 16 };

	assert_true(live <= used + SPARE_NODES);
}

static void complete(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	assert_int_equal(viommu_inval_poll(inval), 0);
}

static void add_endpoints(struct scene *s, unsigned count)
{
	while (s->endpoint_count < count) {
		struct viommu_endpoint *endpoint = NULL;

		TRY(s, viommu_endpoint_add(s->v, 8 * s->endpoint_count, "endpoint", &endpoint));
		s->endpoints[s->endpoint_count++] = endpoint;
	}
}

static void create(struct scene *s, unsigned endpoints, unsigned deadline_ms)
{
	const struct viommu_config config = {.size = sizeof(struct viommu_config), .deadline_ms = deadline_ms};

	TRY(s, viommu_create(&config, &s->v));
	TRY(s, viommu_mem_add(s->v, (struct viommu_gpa){0}, RAM / 2, ram, -1, 0));
	TRY(s, viommu_mem_add(s->v, (struct viommu_gpa){RAM / 2}, RAM / 2, ram + RAM / 2, -1, 0));
	TRY(s, viommu_inval_create(s->v, &s->inval));
	add_endpoints(s, endpoints);
}

/* What was mapped is gone with its domains. */
static void destroy(struct scene *s)
{
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(s->v, &stats);
	assert_int_equal(stats.maps, stats.unmaps);
	assert_int_equal(stats.table_bytes, 0);
	for (unsigned i = 0; i < s->endpoint_count; i++)
		assert_int_equal(viommu_endpoint_remove(s->endpoints[i]), 0);
	viommu_inval_destroy(s->inval);
	viommu_destroy(s->v);
}

static void add_domains(struct scene *s)
{
	for (unsigned i = 0; i < 3; i++)
		TRY(s, viommu_domain_create(s->v, i, &s->domains[i]));
}

static int map(struct viommu_domain *domain, uint64_t first, uint64_t last)
{
	return viommu_map(domain, iova(first), iova(last), (struct viommu_gpa){first % RAM & ~0xfffull}, RW);
}

/* Of every shape of table: a page, a large leaf, the ends of the address space, roots that have to grow. */
static void map_shapes(struct scene *s, struct viommu_domain *domain)
{
	TRY(s, map(domain, 0x1000, 0x1fff));
	TRY(s, map(domain, 0x8000, 0xffff));
	TRY(s, map(domain, 0x200000, 0x5fffff));
	TRY(s, map(domain, 0x40000000, 0x40000000 + 0x201fff));
	TRY(s, map(domain, 1ull << 40, (1ull << 40) + 0xfff));
	TRY(s, map(domain, UINT64_MAX - 0x1fff, UINT64_MAX));
}

static void run_mappings(struct scene *s)
{
	create(s, 3, 0);
	add_domains(s);
	TRY(s, viommu_attach(s->endpoints[0], s->domains[0], s->inval));
	map_shapes(s, s->domains[0]);
	TRY(s, viommu_attach(s->endpoints[1], s->domains[1], s->inval));
	TRY(s, viommu_bypass(s->endpoints[2], s->inval));
	/* One invalidation for all of them: it has to grow. */
	for (uint64_t page = 0; page < 24; page++)
		TRY(s, map(s->domains[1], page << 12, (page << 12) + 0xfff));
	for (uint64_t page = 0; page < 24; page++)
		TRY(s, viommu_unmap(s->domains[1], iova(page << 12), iova((page << 12) + 0xfff), s->inval, NULL));
	complete(s->inval);
	TRY(s, viommu_unmap(s->domains[0], iova(0), iova(UINT64_MAX), s->inval, NULL));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		TRY(s, viommu_detach(s->endpoints[i], s->inval));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

static void run_many_endpoints(struct scene *s)
{
	create(s, ENDPOINTS, 0);
	add_domains(s);
	TRY(s, map(s->domains[0], 0, 0xfff));
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < ENDPOINTS; i++)
			TRY(s, viommu_attach(s->endpoints[i], s->domains[(round + i) % 3], s->inval));
	for (unsigned i = 0; i < ENDPOINTS; i++)
		TRY(s, viommu_detach(s->endpoints[i], s->inval));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

static uint64_t reserved_first(const struct viommu_endpoint *endpoint)
{
	size_t count;
	const struct viommu_reserved *reserved = viommu__endpoint_reserved(endpoint, &count);

	return count == 1 ? reserved->first.value : 0;
}

/* Reserve the page in place of what is reserved; where that fails, it is as before. */
static int reserve(struct viommu_endpoint *endpoint, uint64_t page)
{
	const struct viommu_reserved reserved = {iova(page), iova(page + 0xfff), false};
	const struct viommu_endpoint_limits limits = {
		.size = sizeof(struct viommu_endpoint_limits), .reserved = &reserved, .reserved_count = 1};
	const uint64_t before = reserved_first(endpoint);
	int err = viommu_endpoint_set_limits(endpoint, &limits);

	assert_int_equal(reserved_first(endpoint), err ? before : page);
	return err;
}

static void run_limits(struct scene *s)
{
	create(s, 1, 0);
	add_domains(s);
	TRY(s, reserve(s->endpoints[0], 0x1000));
	TRY(s, reserve(s->endpoints[0], 0x2000));
	TRY(s, viommu_attach(s->endpoints[0], s->domains[0], s->inval));
	TRY(s, map(s->domains[0], 0x1000, 0x1fff));
	assert_int_equal(map(s->domains[0], 0x2000, 0x2fff), -EINVAL);
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

static void run_memory(struct scene *s)
{
	create(s, 1, 0);
	TRY(s, viommu_bypass(s->endpoints[0], s->inval));
	for (unsigned round = 0; round < 10; round++) {
		TRY(s, viommu_mem_remove(s->v, (struct viommu_gpa){RAM / 2}, s->inval));
		TRY(s, viommu_mem_add(s->v, (struct viommu_gpa){RAM / 2}, RAM / 2, ram + RAM / 2, -1, 0));
	}
	complete(s->inval);
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	destroy(s);
}

/* Pages below RAM are mapped to themselves. */
static int walk(void *opaque, const struct memory *memory, uint64_t at, unsigned access, struct walk_result *result)
{
	(void)opaque;
	(void)memory;
	(void)access;
	*result = (struct walk_result){.iova = {at & ~0xfffull, at | 0xfff}, .gpa = at & ~0xfffull, .access = RW};
	result->reason = VIOMMU_FAULT_NOT_MAPPED;
	return at < RAM ? 0 : -EFAULT;
}

static const struct walk_ops walk_ops = {.walk = walk};

/* Without memory to keep what a walk found, it is found again: the device notices nothing. */
static void run_walked(struct scene *s)
{
	struct viommu_domain *domain;

	create(s, 2, 0);
	TRY(s, viommu__domain_create_walked(s->v, &walk_ops, NULL, &domain));
	TRY(s, viommu_attach(s->endpoints[0], domain, s->inval));
	for (unsigned round = 0; round < 20; round++) {
		const uint64_t first = round % 16 * 4096;

		assert_true(driver_reads(s->endpoints[0], first) && driver_writes(s->endpoints[0], RAM - 1 - first));
		assert_false(driver_reads(s->endpoints[0], RAM + first));
		TRY(s, viommu__domain_evict(domain, (struct range){first, first + 4095}, false, s->inval));
		TRY(s, viommu_quiesce(s->endpoints[0], s->inval));
	}
	complete(s->inval);
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	viommu_domain_destroy(domain);
	destroy(s);
}

static void note_ticket(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	(void)first;
	(void)last;
	((struct scene *)opaque)->told = ticket;
}

static const struct viommu_client_ops client_ops = {.size = sizeof(struct viommu_client_ops),
						    .invalidate = note_ticket};

/* Invalidations made before the clients and after them have room for all of them. */
static void run_clients(struct scene *s)
{
	struct viommu_inval *later;

	create(s, 2, 0);
	add_domains(s);
	TRY(s, viommu_attach(s->endpoints[0], s->domains[0], s->inval));
	TRY(s, map(s->domains[0], 0x1000, 0x1fff));
	for (unsigned i = 0; i < 4; i++)
		TRY(s, viommu_client_register(s->endpoints[0], &client_ops, s, &s->clients[i]));
	TRY(s, viommu_inval_create(s->v, &later));
	TRY(s, viommu_unmap(s->domains[0], iova(0), iova(0x1fff), later, NULL));
	viommu_inval_begin(later);
	assert_int_equal(viommu_inval_poll(later), -EAGAIN);
	for (unsigned i = 0; i < 3; i++)
		viommu_client_ack(s->clients[i], s->told);
	assert_int_equal(viommu_inval_poll(later), -EAGAIN);
	viommu_client_unregister(s->clients[3]);
	assert_int_equal(viommu_inval_poll(later), 0);
	for (unsigned i = 0; i < 3; i++)
		viommu_client_unregister(s->clients[i]);
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	viommu_inval_destroy(later);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

/* A table that is shared is made, filled, and goes. */
static void run_shared(struct scene *s)
{
	const struct viommu_shared_config config = {
		.size = sizeof(struct viommu_shared_config), .table_bytes = 256 << 10, .slots = 1};
	struct viommu_shared_files files;
	struct viommu_shared_view *view;
	struct viommu_shared *shared;

	create(s, 1, 1);
	add_domains(s);
	TRY(s, viommu_attach(s->endpoints[0], s->domains[0], s->inval));
	TRY(s, map(s->domains[0], 0x1000, 0x1fff));
	TRY(s, viommu_shared_create(s->endpoints[0], &config, &shared));
	viommu_shared_files_get(shared, &files);
	TRY(s, viommu_shared_view_open(&files, &view));
	viommu_shared_view_close(view);
	viommu_shared_destroy(shared);
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

static int poll_for_long(struct viommu_inval *inval)
{
	int err = viommu_inval_poll(inval);

	for (unsigned i = 0; err == -EAGAIN && i < 1000; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		err = viommu_inval_poll(inval);
	}
	return err;
}

/*
 * The deadline needs memory for what takes the place of the work that goes into quarantine; without it, it is a little
 * later.
 */
static void run_deadline(struct scene *s)
{
	struct viommu_section section;
	struct viommu_span span;
	struct viommu_hold hold = {0};

	create(s, 2, 1);
	add_domains(s);
	TRY(s, viommu_attach(s->endpoints[0], s->domains[0], s->inval));
	TRY(s, map(s->domains[0], 0x1000, 0x1fff));
	assert_int_equal(viommu_dma_begin(s->endpoints[0], &section), 0);
	assert_int_equal(viommu_dma_translate(&section, iova(0x1000), 8, VIOMMU_READ, &span), 0);
	viommu_dma_hold(&section, &hold, &span, 1);
	viommu_dma_end(&section);
	TRY(s, viommu_unmap(s->domains[0], iova(0), iova(0x1fff), s->inval, NULL));
	viommu_inval_begin(s->inval);
	assert_int_equal(poll_for_long(s->inval), -ETIMEDOUT);
	assert_int_equal(viommu_attach(s->endpoints[0], s->domains[1], s->inval), -EIO);
	viommu_dma_release(&hold);
	TRY(s, viommu_attach(s->endpoints[0], s->domains[1], s->inval));
	TRY(s, viommu_detach(s->endpoints[0], s->inval));
	complete(s->inval);
	for (unsigned i = 0; i < 3; i++)
		viommu_domain_destroy(s->domains[i]);
	destroy(s);
}

/* A request that meets the failure says NOMEM. */
static int send(struct scene *s, struct packet *packet)
{
	assert_int_equal(viommu_virtio_submit(s->dev, &packet->request, 1), 0);
	switch (packet_status(packet)) {
	case VIO_S_OK:
		return 0;
	case VIO_S_NOMEM:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

static void virtio_attach(struct scene *s, uint32_t domain, unsigned endpoint, uint32_t flags)
{
	struct packet packet;

	packet_attach(&packet, domain, 8 * endpoint, flags);
	TRY(s, send(s, &packet));
}

static void virtio_map(struct scene *s, uint32_t domain, uint64_t first, uint64_t last)
{
	struct packet packet;

	packet_map(&packet, domain, first, last, first % RAM & ~0xfffull, RW);
	TRY(s, send(s, &packet));
}

static void virtio_unmap(struct scene *s, uint32_t domain, uint64_t first, uint64_t last)
{
	struct packet packet;

	packet_unmap(&packet, domain, first, last);
	TRY(s, send(s, &packet));
}

static void virtio_detach(struct scene *s, uint32_t domain, unsigned endpoint)
{
	struct packet packet;

	packet_detach(&packet, domain, 8 * endpoint);
	TRY(s, send(s, &packet));
}

static void virtio_create(struct scene *s, unsigned endpoints)
{
	static const struct viommu_reserved resv[] = {{{MSI_FIRST}, {MSI_LAST}, true}};
	const struct viommu_virtio_config config = {
		.size = sizeof(struct viommu_virtio_config), .resv = resv, .resv_count = 1};

	create(s, endpoints, 0);
	TRY(s, viommu_virtio_create(s->v, &config, &s->dev));
	for (unsigned i = 0; i < endpoints; i++)
		TRY(s, viommu_virtio_manage(s->dev, s->endpoints[i]));
	viommu_virtio_set_features(s->dev, viommu_virtio_features(s->dev));
}

static void virtio_destroy(struct scene *s)
{
	viommu_virtio_destroy(s->dev);
	destroy(s);
}

static void run_requests(struct scene *s)
{
	virtio_create(s, 4);
	virtio_attach(s, 1, 0, 0);
	virtio_attach(s, 2, 1, 0);
	virtio_attach(s, 3, 2, VIO_ATTACH_F_BYPASS);
	virtio_map(s, 1, 0x1000, 0x1fff);
	virtio_map(s, 1, 1ull << 40, (1ull << 40) + 0x201fff);
	virtio_map(s, 2, 0x8000, 0xffff);
	virtio_unmap(s, 1, 0, UINT64_MAX);
	virtio_map(s, 1, 0, 0xfff);
	virtio_attach(s, 1, 2, 0); /* moves: 3 is gone, and may come again as another kind */
	virtio_attach(s, 3, 3, 0);
	virtio_map(s, 3, 0x2000, 0x2fff);
	virtio_attach(s, 4, 1, VIO_ATTACH_F_BYPASS);
	virtio_detach(s, 1, 0);
	virtio_detach(s, 1, 2);
	virtio_destroy(s);
}

/*
 * Many moves in one batch, so that their invalidation has to grow. The one that fails leaves nothing behind, its new
 * domain neither.
 */
static void run_batch(struct scene *s)
{
	enum { MOVES = 24 };
	static struct packet packets[MOVES];
	struct viommu_virtio_request requests[MOVES];
	struct packet map;

	virtio_create(s, 1);
	for (unsigned i = 0; i < MOVES; i++) {
		packet_attach(&packets[i], i, 0, 0);
		requests[i] = packets[i].request;
	}
	assert_int_equal(viommu_virtio_submit(s->dev, requests, MOVES), 0);
	for (unsigned i = 0; i < MOVES; i++) {
		packets[i].request.written = requests[i].written;
		if (packet_status(&packets[i]) == VIO_S_OK)
			continue;
		assert_int_equal(packet_status(&packets[i]), VIO_S_NOMEM);
		packet_map(&map, i, 0x1000, 0x1fff, 0, RW);
		assert_int_equal(viommu_virtio_submit(s->dev, &map.request, 1), 0);
		assert_int_equal(packet_status(&map), VIO_S_NOENT);
	}
	virtio_attach(s, MOVES - 1, 0, 0);
	virtio_destroy(s);
}

/* A reset and a change of `bypass` concern every endpoint and cannot fail: room for them was made before. */
static void run_what_cannot_fail(struct scene *s)
{
	uint8_t on = 1;

	virtio_create(s, ENDPOINTS);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		virtio_attach(s, 1 + i % 3, i, 0);
	virtio_map(s, 1, 0x1000, 0x1fff);

	const unsigned left = countdown, failed = failures;

	countdown = 1;
	viommu_virtio_config_write(s->dev, VIO_CONFIG_BYPASS, &on, 1);
	viommu_virtio_reset(s->dev, false);
	assert_int_equal(viommu_virtio_poll(s->dev), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_true(driver_reads(s->endpoints[i], 0));
	viommu_virtio_reset(s->dev, true);
	assert_int_equal(viommu_virtio_poll(s->dev), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		assert_false(driver_reads(s->endpoints[i], 0));
	assert_int_equal(failures, failed);
	countdown = left;
	virtio_destroy(s);
}

/* Run it until no allocation fails any more; there have to be some. */
static void sweep(void (*scenario)(struct scene *s))
{
	unsigned nth = 0;

	do {
		struct scene scene = {0};
		const long before = live;

		failures = 0;
		countdown = ++nth;
		scenario(&scene);
		countdown = 0;
		assert_true(live == before);
		assert_true(failures <= 1);
	} while (failures);
	assert_true(nth > 10);
}

static void test_mappings(void **state)
{
	(void)state;
	sweep(run_mappings);
}

static void test_many_endpoints(void **state)
{
	(void)state;
	sweep(run_many_endpoints);
}

static void test_limits(void **state)
{
	(void)state;
	sweep(run_limits);
}

static void test_memory_regions(void **state)
{
	(void)state;
	sweep(run_memory);
}

static void test_walked_domains(void **state)
{
	(void)state;
	sweep(run_walked);
}

static void test_clients(void **state)
{
	(void)state;
	sweep(run_clients);
}

static void test_a_shared_table(void **state)
{
	(void)state;
	sweep(run_shared);
}

static void test_deadline(void **state)
{
	(void)state;
	sweep(run_deadline);
}

static void test_virtio_requests(void **state)
{
	(void)state;
	sweep(run_requests);
}

static void test_virtio_batch(void **state)
{
	(void)state;
	sweep(run_batch);
}

static void test_virtio_reset_and_bypass(void **state)
{
	(void)state;
	sweep(run_what_cannot_fail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_many_endpoints),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_memory_regions),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_walked_domains),
		cmocka_unit_test(test_a_shared_table),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_virtio_requests),
		cmocka_unit_test(test_virtio_batch),
		cmocka_unit_test(test_virtio_reset_and_bypass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
