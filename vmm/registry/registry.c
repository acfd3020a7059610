/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/registry/registry.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/util/mutex.h"

struct registry {
	struct mutex lock; /* innermost; the I/O thread changes the list with it, and reads it without */
	struct registered *first, **end;
	unsigned count;
};

int registry_create(struct registry **out)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	mutex_init(&registry->lock);
	registry->end = &registry->first;
	*out = registry;
	return 0;
}

void registry_destroy(struct registry *registry)
{
	if (!registry)
		return;
	while (registry->first)
		registry_remove(registry, registry->first->requester);
	mutex_fini(&registry->lock);
	free(registry);
}

int registry_add(struct registry *registry, const struct registered *as)
{
	if (registry_find(registry, as->requester))
		return -EEXIST;
	struct registered *entry = malloc(sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	*entry = *as;
	entry->next = NULL;
	mutex_take(&registry->lock);
	*registry->end = entry;
	registry->end = &entry->next;
	registry->count++;
	mutex_drop(&registry->lock);
	return 0;
}

void registry_remove(struct registry *registry, uint16_t requester)
{
	struct registered **at = &registry->first;

	while (*at && (*at)->requester != requester)
		at = &(*at)->next;
	struct registered *entry = *at;

	if (!entry)
		return;
	mutex_take(&registry->lock);
	*at = entry->next;
	if (!entry->next)
		registry->end = at;
	registry->count--;
	mutex_drop(&registry->lock);
	free(entry);
}

struct registered *registry_next(const struct registry *registry, const struct registered *at)
{
	return at ? at->next : registry->first;
}

struct registered *registry_find(const struct registry *registry, uint16_t requester)
{
	struct registered *entry = registry->first;

	while (entry && entry->requester != requester)
		entry = entry->next;
	return entry;
}

unsigned registry_count(const struct registry *registry)
{
	return registry->count;
}

bool registry_note(struct registry *registry, uint32_t requester, unsigned note)
{
	mutex_take(&registry->lock);
	struct registered *entry = requester > UINT16_MAX ? NULL : registry_find(registry, (uint16_t)requester);

	/* Release: partner of registry_take_note(); what the note is about comes before. */
	if (entry)
		atomic_fetch_or_explicit(&entry->notes, note, memory_order_release);
	mutex_drop(&registry->lock);
	return entry;
}

bool registry_take_note(struct registered *entry, unsigned note)
{
	/* Acquire: partner of registry_note(). */
	return atomic_fetch_and_explicit(&entry->notes, ~note, memory_order_acquire) & note;
}
