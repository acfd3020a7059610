/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/keyval.h"
#include "vmm/util/log.h"
#include "vmm/util/number.h"
#include "vmm/util/polling.h"

enum { KEYS_MAX = 32 };

static int parse_string(const char *text, void *at)
{
	char **out = at;

	if (!*text)
		return -EINVAL;
	free(*out);
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

static int parse_switch(const char *text, void *at)
{
	bool on = !strcmp(text, "on");

	if (!on && strcmp(text, "off"))
		return -EINVAL;
	*(bool *)at = on;
	return 0;
}

static int parse_size(const char *text, void *at)
{
	static const char units[] = "KMGT";
	uint64_t value;
	const char *end = number_scan(text, &value);
	const char *unit = end && *end ? strchr(units, *end) : NULL;
	const unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (!end || (*end && (!unit || end[1])) || !value || value > UINT64_MAX >> shift)
		return -EINVAL;
	*(uint64_t *)at = value << shift;
	return 0;
}

static int parse_word(const char *text, void *at)
{
	uint64_t value;
	const char *end = number_scan_word(text, &value);

	if (!end || *end || !value)
		return -EINVAL;
	*(uint64_t *)at = value;
	return 0;
}

static int parse_range(const char *text, const struct key *key, void *at)
{
	struct key_ranges *ranges = at;
	struct key_range range;
	const char *dash = number_scan_word(text, &range.first);
	const char *end = dash && *dash == '-' ? number_scan_word(dash + 1, &range.last) : NULL;

	if (!end || *end || range.first > range.last)
		return -EINVAL;
	if (ranges->count == key->max)
		return -E2BIG;
	ranges->range[ranges->count++] = range;
	return 0;
}

/* Two digits each: sscanf() would take a sign or blanks in place of one. */
static int parse_mac(const char *text, void *at)
{
	enum { BYTES = 6, WIDTH = 3 };
	uint8_t value[BYTES], all = 0;

	for (unsigned i = 0; i < BYTES; i++, text += WIDTH) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    text[2] != (i + 1 < BYTES ? ':' : 0))
			return -EINVAL;
		value[i] = (uint8_t)strtoul(text, NULL, 16);
		all |= value[i];
	}
	if (value[0] & 1 || !all)
		return -EINVAL;
	memcpy(at, value, sizeof(value));
	return 0;
}

static int parse_poll(const char *text, void *at)
{
	static const char *const modes[] = {
		[POLLING_OFF] = "off", [POLLING_AUTO] = "auto", [POLLING_ALWAYS] = "always"};

	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(text, modes[i]))
			continue;
		*(enum polling_mode *)at = (enum polling_mode)i;
		return 0;
	}
	return -EINVAL;
}

static int parse_value(const char *text, const struct key *key, void *at)
{
	switch (key->kind) {
	case KEY_STRING:
		return parse_string(text, at);
	case KEY_SWITCH:
		return parse_switch(text, at);
	case KEY_SIZE:
		return parse_size(text, at);
	case KEY_NUMBER:
		return number_parse(text, key->min, key->max, at);
	case KEY_MAC:
		return parse_mac(text, at);
	case KEY_WORD:
		return parse_word(text, at);
	case KEY_RANGES:
		return parse_range(text, key, at);
	case KEY_POLL:
		return parse_poll(text, at);
	}
	return -EINVAL;
}

static void complain(const char *option, const char *value, const struct key *key, int err)
{
	static const char *const wanted[] = {
		[KEY_STRING] = "some text",
		[KEY_SWITCH] = "on or off",
		[KEY_SIZE] = "a size such as 512M or 2G",
		[KEY_MAC] = "an address such as 52:54:00:12:34:56",
		[KEY_WORD] = "a number such as 0x1000, and not 0,",
		[KEY_RANGES] = "a range such as 0x1000-0x1fff",
		[KEY_POLL] = "off, auto or always",
	};
	const char *name = key->name;

	if (!name)
		vmm_log("--%s: its first word is empty (try: viommu run --help)", option);
	else if (key->kind == KEY_NUMBER)
		vmm_log("--%s: %s=%s: a number from %u to %u is wanted%s", option, name, value, key->min, key->max,
			number_hint(value));
	else if (err == -E2BIG)
		vmm_log("--%s: %s=%s: at most %u of them are possible", option, name, value, key->max);
	else
		vmm_log("--%s: %s=%s: %s is wanted%s", option, name, value, wanted[key->kind],
			key->kind == KEY_SIZE ? number_hint(value) : "");
}

/* A key that does not exist: all that do. */
static void complain_of_key(const char *option, const char *element, const struct key *keys, size_t count)
{
	char names[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < count; i++)
		if (keys[i].name && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
						 keys[i].name);
	vmm_log("--%s: unknown key '%s'; there are: %s", option, element, names);
}

/* The key that an element names, and its value. A bare word belongs to the key without name, if it comes first. */
static const struct key *find_key(const struct key *keys, size_t count, char *element, bool first, char **value)
{
	char *equals = strchr(element, '=');

	if (equals)
		*equals = 0;
	*value = equals ? equals + 1 : element;
	for (size_t i = 0; i < count; i++)
		if (equals ? keys[i].name && !strcmp(keys[i].name, element) : !keys[i].name && first)
			return &keys[i];
	return NULL;
}

static int parse_element(const char *option, char *element, const struct key *keys, size_t count, bool *seen,
			 bool first, void *target)
{
	char *value;
	const struct key *key = find_key(keys, count, element, first, &value);

	if (!key) {
		complain_of_key(option, element, keys, count);
		return -EINVAL;
	}
	if (seen[key - keys] && key->kind != KEY_RANGES) {
		vmm_log("--%s: '%s' is given twice: give it once", option, key->name ? key->name : value);
		return -EINVAL;
	}
	seen[key - keys] = true;
	int err = parse_value(value, key, (char *)target + key->offset);

	if (err)
		complain(option, value, key, err);
	return err;
}

static int check_required(const char *option, const struct key *keys, size_t count, const bool *seen)
{
	for (size_t i = 0; i < count; i++) {
		if (keys[i].required && !seen[i]) {
			vmm_log("--%s: '%s' is missing (try: viommu run --help)", option,
				keys[i].name ? keys[i].name : "a first word");
			return -EINVAL;
		}
	}
	return 0;
}

int keyval_parse(const char *option, const char *text, const struct key *keys, size_t count, void *target)
{
	bool seen[KEYS_MAX] = {false};
	char *copy = strdup(text), *rest = copy;
	int err = copy ? 0 : -ENOMEM;

	for (bool first = true; rest && *text && !err; first = false) {
		char *element = strsep(&rest, ",");

		err = parse_element(option, element, keys, count, seen, first, target);
	}
	free(copy);
	return err ? err : check_required(option, keys, count, seen);
}
