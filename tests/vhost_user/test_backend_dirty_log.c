/* SPDX-License-Identifier: BSD-2-Clause */
/* The dirty log of a back end: what is marked, where, when, and where not. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/core/dirty.h"
#include "tests/support/front.h"
#include "tests/support/test.h"

enum {
	PAGE = FRONT_PAGE,
	IOVA = 0x40000000,
	LOG_BYTES = 256,
	FILE_BYTES = 4 * PAGE,
	FIRST = FRONT_GPA / PAGE,
	ROUNDS = 2000
};

#define LOG_ALL (1ull << VHU_F_LOG_ALL)

static struct front front;
static int log_fd;
static uint8_t *log_file;

static int set_up(void **state)
{
	(void)state;
	front_open(&front, 60000);
	front_setup(&front, FRONT_PLATFORM);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(log_fd, FILE_BYTES), 0);
	log_file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	assert_ptr_not_equal(log_file, MAP_FAILED);
	assert_int_equal(front_update(&front, IOVA, FRONT_USER, FRONT_SIZE, VHU_ACCESS_RW), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	front_close(&front);
	munmap(log_file, FILE_BYTES);
	close(log_fd);
	return 0;
}

static uint64_t set_log(uint64_t bytes, uint64_t offset)
{
	const struct vhu_log log = {bytes, offset};

	return front_ask(&front, VHU_SET_LOG_BASE, &log, sizeof(log), &log_fd, 1);
}

static void switch_log(bool on)
{
	const uint64_t features = FRONT_PLATFORM | (on ? LOG_ALL : 0);

	assert_int_equal(front_ask(&front, VHU_SET_FEATURES, &features, sizeof(features), NULL, 0), 0);
}

/* Is this the one byte of the file that is not zero? */
static bool only(uint64_t at, uint8_t value)
{
	for (uint64_t i = 0; i < FILE_BYTES; i++)
		if (log_file[i] != (i == at ? value : 0))
			return false;
	return true;
}

static bool clean(void)
{
	return only(0, 0);
}

static void write_page(unsigned page)
{
	assert_int_equal(front_touch(&front, IOVA + (uint64_t)page * PAGE, VIOMMU_WRITE, NULL), 0);
}

/* A burst in which something is translated for writing, not yet over. */
static void begin_writing(struct viommu_section *section, uint64_t iova, uint64_t len)
{
	struct viommu_span span;

	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	switch_log(true);
	assert_int_equal(viommu_backend_begin(front.backend, section), 0);
	assert_int_equal(viommu_dma_translate(section, (struct viommu_iova){iova}, len, VIOMMU_WRITE, &span), 0);
}

static void test_it_is_offered(void **state)
{
	(void)state;
	assert_true(front_ask(&front, VHU_GET_FEATURES, NULL, 0, NULL, 0) & LOG_ALL);
	assert_true(front_ask(&front, VHU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0) >> VHU_PROTOCOL_F_LOG_SHMFD & 1);
}

/* The bit is that of the guest-physical page, whatever address it has for the device and for the front end. */
static void test_a_write_is_marked_and_a_read_is_not(void **state)
{
	(void)state;
	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	write_page(3);
	assert_true(clean());
	switch_log(true);
	assert_int_equal(front_touch(&front, IOVA + 4 * PAGE, VIOMMU_READ, NULL), 0);
	assert_true(clean());
	write_page(11);
	assert_true(only((FIRST + 11) / 8, 1u << (FIRST + 11) % 8));
	log_file[(FIRST + 11) / 8] = 0;
	switch_log(false);
	write_page(12);
	assert_true(clean());
}

/* DPDK's counts it twice. It need not be a page's. */
static void test_the_offset_counts_once(void **state)
{
	static const uint64_t offsets[] = {PAGE, 2 * PAGE, 3 * PAGE + 64, 8};

	(void)state;
	switch_log(true);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(set_log(LOG_BYTES, offsets[i]), 0);
		write_page(i);
		assert_true(only(offsets[i] + FIRST / 8, (uint8_t)(1u << i)));
		log_file[offsets[i] + FIRST / 8] = 0;
	}
}

/* A page that is copied after its bit was taken has all that was written: so the bit comes last. */
static void test_marked_when_the_burst_is_over(void **state)
{
	struct viommu_section section;
	struct viommu_span span;

	(void)state;
	begin_writing(&section, IOVA + PAGE - 1, 2);
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + 5 * PAGE}, 8, VIOMMU_READ, &span),
			 0);
	/* The page was found for reading; a write there must not go by what was found. */
	assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + 5 * PAGE}, 8, VIOMMU_WRITE, &span),
			 0);
	assert_true(clean());
	viommu_backend_end(front.backend, &section);
	assert_true(only(FIRST / 8, 1u << 0 | 1u << 1 | 1u << 5));
}

/* Whoever is in a burst when it is switched on does not mark: the front end copies memory after the answer only. */
static void test_the_answer_waits_for_who_does_not_know(void **state)
{
	const uint64_t features = FRONT_PLATFORM | LOG_ALL;
	struct channel_message answer;
	struct viommu_section section;

	(void)state;
	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
	front_send(&front, VHU_SET_FEATURES, VHU_NEED_REPLY, &features, sizeof(features), NULL, 0);
	front_serve(&front);
	assert_false(front_answer(&front, &answer));
	write_page(2);
	assert_true(only(FIRST / 8, 1u << 2));
	viommu_backend_end(front.backend, &section);
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	assert_int_equal(answer.u64, 0);
}

static void test_a_new_log_is_used_when_the_old_one_is_not(void **state)
{
	const struct vhu_log second = {LOG_BYTES, PAGE};
	struct channel_message answer;
	struct viommu_section section;

	(void)state;
	begin_writing(&section, IOVA, 8);
	front_send(&front, VHU_SET_LOG_BASE, 0, &second, sizeof(second), &log_fd, 1);
	front_serve(&front);
	assert_false(front_answer(&front, &answer));
	viommu_backend_end(front.backend, &section);
	assert_true(only(FIRST / 8, 1));
	front_serve(&front);
	assert_true(front_answer(&front, &answer));
	log_file[FIRST / 8] = 0;
	write_page(1);
	assert_true(only(PAGE + FIRST / 8, 2));
}

/* Migration begins while the rings run, and tells of their addresses again. */
static void test_rings_go_on(void **state)
{
	struct vhu_vring_addr addr = {
		.flags = 1, .desc = IOVA, .avail = IOVA + 0x100, .used = IOVA + 0x200, .log = FRONT_GPA};

	(void)state;
	front_start_queue(&front, 0, IOVA);
	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	switch_log(true);
	assert_int_equal(front_ask(&front, VHU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front.queues[0].starts, 1);
	assert_int_equal(front.queues[0].stops, 0);
	assert_int_equal(front.features & LOG_ALL, 0); /* which is not the device's */
}

static void test_the_event_is_signalled(void **state)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count;

	(void)state;
	assert_int_equal(front_ask(&front, VHU_SET_LOG_FD, NULL, 0, &event, 1), 0);
	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	switch_log(true);
	assert_int_equal(front_touch(&front, IOVA, VIOMMU_READ, NULL), 0);
	assert_int_equal(read(event, &count, sizeof(count)), -1);
	write_page(0);
	assert_int_equal(read(event, &count, sizeof(count)), sizeof(count));
	close(event);
}

static void test_logs_that_cannot_be_are_refused(void **state)
{
	static const struct vhu_log logs[] = {
		{0, 0},          {LOG_BYTES, FILE_BYTES - LOG_BYTES + 1}, {FILE_BYTES + 1, 0}, {UINT64_MAX, 1},
		{1, UINT64_MAX}, {(FIRST + FRONT_PAGES) / 8 - 1, 0}, /* the last page has no bit */
	};

	(void)state;
	switch_log(true);
	assert_int_equal(set_log(LOG_BYTES, PAGE), 0);
	for (unsigned i = 0; i < sizeof(logs) / sizeof(logs[0]); i++)
		assert_int_equal(set_log(logs[i].mmap_size, logs[i].mmap_offset), 1);
	/* And change nothing. */
	write_page(0);
	assert_true(only(PAGE + FIRST / 8, 1));
	assert_int_equal(set_log((FIRST + FRONT_PAGES) / 8, 0), 0);
}

static bool is_marked(unsigned page)
{
	return log_file[(FIRST + page) / 8] >> (FIRST + page) % 8 & 1;
}

/* Random bursts, some larger than what is noted of each; against a plain array. */
static void test_bursts_at_random(void **state)
{
	uint64_t random = 7;

	(void)state;
	assert_int_equal(set_log(LOG_BYTES, 0), 0);
	switch_log(true);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool written[FRONT_PAGES] = {false};
		unsigned accesses = round % 100 ? round % 20 : 2 * DIRTY_RANGES;
		struct viommu_section section;
		struct viommu_span span;

		assert_int_equal(viommu_backend_begin(front.backend, &section), 0);
		for (unsigned i = 0; i < accesses; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			uint64_t at = (random >> 33) % (FRONT_SIZE - 3 * PAGE), len = 1 + (random >> 20) % (2 * PAGE);
			bool write = random >> 63;

			assert_int_equal(viommu_dma_translate(&section, (struct viommu_iova){IOVA + at}, len,
							      write ? VIOMMU_WRITE : VIOMMU_READ, &span),
					 0);
			for (uint64_t page = at / PAGE; write && page <= (at + span.len - 1) / PAGE; page++)
				written[page] = true;
		}
		viommu_backend_end(front.backend, &section);
		for (unsigned page = 0; page < FRONT_PAGES; page++)
			assert_true(is_marked(page) == written[page] || (accesses > DIRTY_RANGES && is_marked(page)));
		memset(log_file, 0, FILE_BYTES);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_is_offered),
		TEST(test_a_write_is_marked_and_a_read_is_not),
		TEST(test_the_offset_counts_once),
		TEST(test_marked_when_the_burst_is_over),
		TEST(test_the_answer_waits_for_who_does_not_know),
		TEST(test_a_new_log_is_used_when_the_old_one_is_not),
		TEST(test_rings_go_on),
		TEST(test_the_event_is_signalled),
		TEST(test_logs_that_cannot_be_are_refused),
		TEST(test_bursts_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
