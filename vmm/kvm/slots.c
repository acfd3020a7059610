/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/slots.h"

#include <errno.h>
#include <linux/kvm.h>

#include "vmm/kvm/memory.h"

enum { SLOT_GRANULE = 4096 };

void kvm_slots_init(struct kvm_slots *slots, int vm, unsigned max) NO_OTHER_THREAD
{
	slots->vm = vm;
	slots->max = max;
	slots->forgets_one = false;
	slots->first = NULL;
	mutex_init(&slots->lock);
}

void kvm_slots_fini(struct kvm_slots *slots) NO_OTHER_THREAD
{
	slots->first = NULL;
	mutex_fini(&slots->lock);
}

static bool has_slot(const struct kvm_slots *slots, const struct kvm_slot *slot) REQUIRES(slots->lock)
{
	for (const struct kvm_slot *at = slots->first; at; at = at->next)
		if (at == slot)
			return true;
	return false;
}

/* With a size of 0 KVM forgets it. */
static int tell_kvm(const struct kvm_slots *slots, const struct kvm_slot *slot, uint64_t size, bool logged)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot->number,
		.flags = (slot->readonly ? KVM_MEM_READONLY : 0) | (logged ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = slot->gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	return kvm_memory_set(slots->vm, &region);
}

static bool is_sound(const struct kvm_slot *slot)
{
	return slot->size && !((slot->gpa | slot->size | (uintptr_t)slot->host) % SLOT_GRANULE) &&
	       slot->size - 1 <= UINT64_MAX - slot->gpa;
}

static bool overlap(const struct kvm_slot *a, const struct kvm_slot *b)
{
	return a->gpa <= b->gpa + (b->size - 1) && b->gpa <= a->gpa + (a->size - 1);
}

/* The lowest number that is free, and where in the list that goes. */
static int find_number(struct kvm_slots *slots, struct kvm_slot *slot, struct kvm_slot ***where) REQUIRES(slots->lock)
{
	*where = NULL;
	slot->number = 0;
	for (struct kvm_slot **at = &slots->first;; at = &(*at)->next) {
		if (!*where && (!*at || (*at)->number != slot->number))
			*where = at;
		if (!*at)
			break;
		if (overlap(*at, slot))
			return -EEXIST;
		if (!*where)
			slot->number++;
	}
	return slot->number < slots->max ? 0 : -ENOSPC;
}

static int add_locked(struct kvm_slots *slots, struct kvm_slot *slot) REQUIRES(slots->lock)
{
	struct kvm_slot **where;
	int err = is_sound(slot) ? find_number(slots, slot, &where) : -EINVAL;

	if (!err)
		err = tell_kvm(slots, slot, slot->size, false);
	if (err)
		return err;
	slot->logged = false;
	slot->aliases = 0;
	slot->next = *where;
	*where = slot;
	return 0;
}

int kvm_slot_add(struct kvm_slots *slots, struct kvm_slot *slot)
{
	slot->of = NULL;
	mutex_take(&slots->lock);
	int err = has_slot(slots, slot) ? -EEXIST : add_locked(slots, slot);

	mutex_drop(&slots->lock);
	return err;
}

static int add_alias_locked(struct kvm_slots *slots, struct kvm_slot *alias, struct kvm_slot *of, uint64_t offset)
	REQUIRES(slots->lock)
{
	if (has_slot(slots, alias))
		return -EEXIST;
	if (!has_slot(slots, of) || of->of || offset > of->size || alias->size > of->size - offset)
		return -EINVAL;
	alias->host = (uint8_t *)of->host + offset;
	alias->readonly |= of->readonly;
	alias->of = of;
	int err = add_locked(slots, alias);

	if (!err)
		of->aliases++;
	return err;
}

int kvm_slot_add_alias(struct kvm_slots *slots, struct kvm_slot *alias, struct kvm_slot *of, uint64_t offset)
{
	mutex_take(&slots->lock);
	int err = add_alias_locked(slots, alias, of, offset);

	mutex_drop(&slots->lock);
	return err;
}

static int remove_locked(struct kvm_slots *slots, struct kvm_slot *slot) REQUIRES(slots->lock)
{
	struct kvm_slot **at = &slots->first;

	while (*at && *at != slot)
		at = &(*at)->next;
	if (!*at)
		return -ENOENT;
	if (slot->aliases)
		return -EBUSY;
	int err = tell_kvm(slots, slot, 0, false);

	if (err)
		return err;
	*at = slot->next;
	if (slot->of)
		slot->of->aliases--;
	return 0;
}

int kvm_slot_remove(struct kvm_slots *slots, struct kvm_slot *slot)
{
	mutex_take(&slots->lock);
	int err = remove_locked(slots, slot);

	mutex_drop(&slots->lock);
	return err;
}

int kvm_slot_log(struct kvm_slots *slots, struct kvm_slot *slot, bool on)
{
	mutex_take(&slots->lock);
	int err = !has_slot(slots, slot) ? -ENOENT : slot->logged != on ? tell_kvm(slots, slot, slot->size, on) : 0;

	if (!err)
		slot->logged = on;
	mutex_drop(&slots->lock);
	return err;
}
