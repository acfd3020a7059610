/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a command line, one after the other. Options are written out ("--memory", never "--mem" or "-m"), stand
 * before or behind other words, and are given once unless they say otherwise; behind "--" there are no more of them.
 * getopt_long() takes abbreviations, and does not tell which word it refuses.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_argument {
	OPTION_ALONE,    /* --name */
	OPTION_VALUE,    /* --name VALUE or --name=VALUE */
	OPTION_MAY,      /* likewise, or --name alone: the next word is the value unless it begins with '-' */
	OPTION_ATTACHED, /* --name or --name=VALUE */
};

struct option_spec {
	const char *name;
	enum option_argument argument;
	bool repeats;      /* may be given several times */
	bool may_be_empty; /* so may its value */
};

enum { OPTIONS_MAX = 64 };

/* The caller fills the first part, and zeroes the rest. */
struct options {
	const char *command; /* "viommu run": its --help is what a complaint points to */
	const struct option_spec *specs;
	unsigned count; /* at most OPTIONS_MAX */
	int argc;
	char **argv; /* argv[0] is not looked at */

	int done; /* words after argv[0] */
	uint64_t seen;
	bool words_only; /* "--" has come */
};

enum { OPTIONS_END = -1, OPTIONS_WORD = -2, OPTIONS_BAD = -3 };

/*
 * The next option: its index in specs, and in *value its value or NULL. Or OPTIONS_WORD: another word, in *value;
 * OPTIONS_END; OPTIONS_BAD after one line that says what is wrong.
 */
int options_next(struct options *options, const char **value);

/* Complain of a word that the command has no use for. Returns OPTIONS_BAD. */
int options_unexpected(const struct options *options, const char *word);

#endif
