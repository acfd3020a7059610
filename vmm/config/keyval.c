/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/keyval.h"
#include "vmm/util/log.h"

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
	char *end;

	errno = 0;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	unsigned long long value = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (errno || (*end && (!unit || end[1])) || !value || value > UINT64_MAX >> shift)
		return -EINVAL;
	*(uint64_t *)at = (uint64_t)value << shift;
	return 0;
}

static int parse_number(const char *text, const struct key *key, void *at)
{
	char *end;

	errno = 0;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	unsigned long value = strtoul(text, &end, 0);

	if (errno || *end || value < key->min || value > key->max)
		return -EINVAL;
	*(unsigned *)at = (unsigned)value;
	return 0;
}

/* A number in front of `text`; *end is what follows it. */
static int parse_digits(const char *text, char **end, uint64_t *out)
{
	const bool hex = *text == '0' && (text[1] | 0x20) == 'x';

	errno = 0;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	*out = strtoull(text, end, hex ? 16 : 10);
	return errno ? -EINVAL : 0;
}

static int parse_word(const char *text, void *at)
{
	uint64_t value;
	char *end;

	if (parse_digits(text, &end, &value) || *end || !value)
		return -EINVAL;
	*(uint64_t *)at = value;
	return 0;
}

static int parse_range(const char *text, const struct key *key, void *at)
{
	struct key_ranges *ranges = at;
	struct key_range range;
	char *end;

	if (parse_digits(text, &end, &range.first) || *end != '-' || parse_digits(end + 1, &end, &range.last) || *end ||
	    range.first > range.last)
		return -EINVAL;
	if (ranges->count == key->max)
		return -E2BIG;
	ranges->range[ranges->count++] = range;
	return 0;
}

static int parse_mac(const char *text, void *at)
{
	uint8_t *mac = at, value[6];
	int used = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &value[0], &value[1], &value[2], &value[3], &value[4],
		   &value[5], &used) != 6 ||
	    text[used] || value[0] & 1)
		return -EINVAL;
	memcpy(mac, value, sizeof(value));
	return 0;
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
		return parse_number(text, key, at);
	case KEY_MAC:
		return parse_mac(text, at);
	case KEY_WORD:
		return parse_word(text, at);
	case KEY_RANGES:
		return parse_range(text, key, at);
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
	};
	const char *name = key->name ? key->name : "the first word";

	if (key->kind == KEY_NUMBER)
		vmm_log("--%s: %s=%s: a number from %u to %u is wanted", option, name, value, key->min, key->max);
	else if (err == -E2BIG)
		vmm_log("--%s: %s=%s: at most %u of them are possible", option, name, value, key->max);
	else
		vmm_log("--%s: %s=%s: %s is wanted", option, name, value, wanted[key->kind]);
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
		vmm_log("--%s: unknown key '%s' (try: viommu run --help)", option, element);
		return -EINVAL;
	}
	if (seen[key - keys] && key->kind != KEY_RANGES) {
		vmm_log("--%s: '%s' is given twice", option, key->name ? key->name : value);
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
			vmm_log("--%s: '%s' is missing", option, keys[i].name ? keys[i].name : "a first word");
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
