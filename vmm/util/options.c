/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/options.h"

#include <stddef.h>
#include <string.h>

#include "vmm/util/log.h"

/* The option of which the first `len` bytes of `name` are the whole name. */
static const struct option_spec *options_exact(const struct options *options, const char *name, size_t len)
{
	for (unsigned i = 0; i < options->count; i++)
		if (strlen(options->specs[i].name) == len && !strncmp(options->specs[i].name, name, len))
			return &options->specs[i];
	return NULL;
}

/* The one that begins with them, if only one does. */
static const struct option_spec *options_near(const struct options *options, const char *name, size_t len)
{
	const struct option_spec *found = options_exact(options, name, len);

	for (unsigned i = 0; i < options->count && len && !found; i++)
		if (!strncmp(options->specs[i].name, name, len)) {
			found = &options->specs[i];
			for (unsigned k = i + 1; k < options->count; k++)
				if (!strncmp(options->specs[k].name, name, len))
					return NULL;
		}
	return found;
}

/* The option that a word names, with its value behind '=' or without. */
static const struct option_spec *options_named(const struct options *options, const char *word)
{
	return strncmp(word, "--", 2) ? NULL : options_exact(options, word + 2, strcspn(word + 2, "="));
}

static int options_unknown(const struct options *options, const char *word)
{
	const char *name = word + strspn(word, "-");
	const struct option_spec *near = options_near(options, name, strcspn(name, "="));
	const int len = (int)strcspn(word, "=");

	if (near)
		vmm_log("unknown option '%.*s'; there is --%s (try: %s --help)", len, word, near->name,
			options->command);
	else
		vmm_log("unknown option '%.*s' (try: %s --help)", len, word, options->command);
	return OPTIONS_BAD;
}

int options_unexpected(const struct options *options, const char *word)
{
	vmm_log("unexpected argument '%s' (try: %s --help)", word, options->command);
	return OPTIONS_BAD;
}

/* The next word is the value; but an option's name there shows that the value was forgotten. */
static const char *options_apart(struct options *options, const struct option_spec *spec)
{
	const char *next = options->done + 1 < options->argc ? options->argv[options->done + 1] : NULL;

	if (!next || options_named(options, next) || (spec->argument == OPTION_MAY && *next == '-'))
		return NULL;
	options->done++;
	return next;
}

static int options_value(struct options *options, const struct option_spec *spec, const char *word, const char **value)
{
	const char *equals = strchr(word, '=');

	*value = equals ? equals + 1 : NULL;
	if (equals && spec->argument == OPTION_ALONE) {
		vmm_log("%s: --%s takes no argument (try: %s --help)", word, spec->name, options->command);
		return OPTIONS_BAD;
	}
	if (!equals && (spec->argument == OPTION_VALUE || spec->argument == OPTION_MAY))
		*value = options_apart(options, spec);
	if ((!*value && spec->argument == OPTION_VALUE) || (*value && !**value && !spec->may_be_empty)) {
		vmm_log("--%s: an argument is missing (try: %s --help)", spec->name, options->command);
		return OPTIONS_BAD;
	}
	return (int)(spec - options->specs);
}

int options_next(struct options *options, const char **value)
{
	const char *word;

	do {
		if (options->done + 1 >= options->argc)
			return OPTIONS_END;
		word = *value = options->argv[++options->done];
		if (options->words_only || *word != '-' || !word[1])
			return OPTIONS_WORD;
		options->words_only = !strcmp(word, "--");
	} while (options->words_only);

	const struct option_spec *spec = options_named(options, word);

	if (!spec)
		return options_unknown(options, word);

	const uint64_t bit = 1ull << (spec - options->specs);

	if (options->seen & bit && !spec->repeats) {
		vmm_log("--%s is given twice: give it once", spec->name);
		return OPTIONS_BAD;
	}
	options->seen |= bit;
	return options_value(options, spec, word, value);
}
