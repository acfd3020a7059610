/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/users.h"

#include <sched.h>

enum { WORD = 8, TOUCHES = 4 };

/* Each user writes words of its own, so that two of them never write the same one. */
static void touch(const struct user *user, uint8_t *host, bool write)
{
	const unsigned index = (unsigned)(user - user->users->user);
	volatile uint64_t *word = (volatile uint64_t *)(void *)(host + index * WORD);

	if (write)
		*word = *word + 1;
	else
		(void)*word;
}

/* One access, in a section, and where the script says so under a hold behind it. */
static void use(const struct user *user, uint8_t what)
{
	const bool write = what & 0x40, held = what >= 0xc0;
	const struct viommu_iova iova = {(uint64_t)(what % USERS_PAGES) * USERS_PAGE};
	struct viommu_section section;
	struct viommu_hold hold = {0};
	struct viommu_span span;

	if (viommu_dma_begin(user->endpoint, &section))
		return;
	section.quiet = true;
	if (viommu_dma_translate(&section, iova, USERS_PAGE, write ? VIOMMU_WRITE : VIOMMU_READ, &span)) {
		viommu_dma_end(&section);
		return;
	}
	touch(user, span.host, write);
	if (held) {
		viommu_dma_hold(&section, &hold, &span, 1);
		viommu_dma_end(&section);
	}
	/* Long enough for the guest to take it away meanwhile. */
	for (unsigned i = 0; i < TOUCHES; i++) {
		sched_yield();
		touch(user, span.host, write);
	}
	if (held)
		viommu_dma_release(&hold);
	else
		viommu_dma_end(&section);
}

static void *user_main(void *opaque)
{
	const struct user *user = opaque;

	for (unsigned i = 0; !atomic_load(&user->users->stop); i = (i + 1) % USERS_SCRIPT)
		use(user, user->script[i]);
	return NULL;
}

static void stamp(struct user *user, unsigned page)
{
	user->stamp[page] = ++user->users->last_stamp;
	memset(user->memory + page * USERS_PAGE, user->stamp[page], USERS_PAGE);
}

static void check_stamp(const struct user *user, unsigned page)
{
	const uint8_t *bytes = user->memory + page * USERS_PAGE;

	CHECK(bytes[0] == user->stamp[page] && !memcmp(bytes, bytes + 1, USERS_PAGE - 1),
	      "a device has written to page %u, which is the guest's", page);
}

void users_start(struct users *users, struct tape *tape, struct viommu_endpoint *const *endpoints,
		 uint8_t *const *memory)
{
	*users = (struct users){0};
	for (unsigned i = 0; i < USERS; i++) {
		struct user *user = &users->user[i];

		user->users = users;
		user->endpoint = endpoints[i];
		user->memory = memory[i];
		tape_copy(tape, user->script, USERS_SCRIPT);
		for (unsigned page = 0; page < USERS_PAGES; page++)
			stamp(user, page);
	}
	for (unsigned i = 0; i < USERS; i++)
		CHECK(!pthread_create(&users->user[i].thread, NULL, user_main, &users->user[i]), "no thread");
}

void users_give(struct user *user, unsigned page)
{
	check_stamp(user, page);
	user->given[page] = true;
}

void users_taken(struct user *user, unsigned page)
{
	if (user->given[page])
		stamp(user, page);
	user->given[page] = false;
}

void users_taken_all(struct user *user)
{
	for (unsigned page = 0; page < USERS_PAGES; page++)
		users_taken(user, page);
}

void users_wait_for(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval))
		sched_yield();
	viommu_inval_destroy(inval);
}

void users_join(struct users *users)
{
	atomic_store(&users->stop, true);
	for (unsigned i = 0; i < USERS; i++)
		CHECK(!pthread_join(users->user[i].thread, NULL), "not joined");
	for (unsigned i = 0; i < USERS; i++)
		for (unsigned page = 0; page < USERS_PAGES; page++)
			if (!users->user[i].given[page])
				check_stamp(&users->user[i], page);
}
