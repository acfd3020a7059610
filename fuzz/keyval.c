/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Option arguments, as the user or a configuration file gives them. What is accepted lies within its bounds, and gives
 * the same again; what is not costs one line; nothing beside the target is written.
 */
#include <errno.h>

#include "fuzz/fuzz.h"
#include "fuzz/quiet.h"
#include "vmm/config/keyval.h"
#include "vmm/util/polling.h"

enum { RANGES = 4, NUMBER_MIN = 2, NUMBER_MAX = 100, GUARD = 0x5a };

struct target {
	uint8_t before[32];
	char *bare, *text;
	bool on;
	uint64_t size, word;
	unsigned number;
	uint8_t mac[6];
	struct key_ranges ranges;
	enum polling_mode poll;
	uint8_t after[32];
};

static const struct key keys[] = {
	{NULL, KEY_STRING, offsetof(struct target, bare)},
	{"text", KEY_STRING, offsetof(struct target, text)},
	{"on", KEY_SWITCH, offsetof(struct target, on)},
	{"size", KEY_SIZE, offsetof(struct target, size)},
	{"number", KEY_NUMBER, offsetof(struct target, number), NUMBER_MIN, NUMBER_MAX},
	{"mac", KEY_MAC, offsetof(struct target, mac)},
	{"word", KEY_WORD, offsetof(struct target, word)},
	{"range", KEY_RANGES, offsetof(struct target, ranges), .max = RANGES},
	{"poll", KEY_POLL, offsetof(struct target, poll)},
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static void check_guards(const struct target *target)
{
	for (unsigned i = 0; i < sizeof(target->before); i++)
		CHECK(target->before[i] == GUARD && target->after[i] == GUARD, "byte %u", i);
}

static void check_values(const struct target *target)
{
	CHECK(!target->number || (target->number >= NUMBER_MIN && target->number <= NUMBER_MAX), "%u", target->number);
	CHECK(!(target->mac[0] & 1), "%02x", target->mac[0]);
	CHECK(!target->bare || *target->bare, "an empty word");
	CHECK(!target->text || *target->text, "an empty text");
	CHECK(target->poll <= POLLING_ALWAYS, "%d", target->poll);
	CHECK(target->ranges.count <= RANGES, "%u", target->ranges.count);
	for (unsigned i = 0; i < target->ranges.count; i++)
		CHECK(target->ranges.range[i].first <= target->ranges.range[i].last, "range %u", i);
}

static int parse(const char *text, struct target *target)
{
	const unsigned lines = quiet_lines;

	memset(target, 0, sizeof(*target));
	memset(target->before, GUARD, sizeof(target->before));
	memset(target->after, GUARD, sizeof(target->after));

	const int err = keyval_parse("option", text, keys, KEYS, target);

	CHECK(!err || err == -EINVAL || err == -E2BIG, "error %d", err);
	CHECK(quiet_lines - lines == (err ? 1 : 0), "%u lines, error %d", quiet_lines - lines, err);
	check_guards(target);
	check_values(target);
	return err;
}

/* Texts differ in where they lie. */
static void check_equal(const struct target *one, const struct target *other)
{
	CHECK(!one->bare == !other->bare && (!one->bare || !strcmp(one->bare, other->bare)), "word");
	CHECK(!one->text == !other->text && (!one->text || !strcmp(one->text, other->text)), "text");
	CHECK(one->on == other->on && one->size == other->size && one->word == other->word, "size");
	CHECK(one->poll == other->poll, "poll");
	CHECK(one->number == other->number && !memcmp(one->mac, other->mac, sizeof(one->mac)), "number");
	CHECK(!memcmp(&one->ranges, &other->ranges, sizeof(one->ranges)), "ranges");
}

static void release(struct target *target)
{
	free(target->bare);
	free(target->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct target once, twice;
	char *text = malloc(size + 1);

	if (size)
		memcpy(text, bytes, size);
	text[size] = 0;
	CHECK(parse(text, &once) == parse(text, &twice), "the same text again");
	check_equal(&once, &twice);
	release(&once);
	release(&twice);
	free(text);
	return 0;
}
