/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that people give: decimal digits and nothing else, neither a sign nor a blank nor a zero in front. */
#ifndef VMM_NUMBER_H
#define VMM_NUMBER_H

#include <stdint.h>

/* The number that `text` begins with. Returns what follows it, or NULL: there is none, or it has more than 64 bits. */
const char *number_scan(const char *text, uint64_t *out);

/* The same, or a hexadecimal one behind 0x. */
const char *number_scan_word(const char *text, uint64_t *out);

/* All of `text` is a number from `min` to `max`. Errors: -EINVAL. */
int number_parse(const char *text, unsigned min, unsigned max, unsigned *out);

/* What to add to a complaint about `text`, which is no number or too large: how zeros in front are read, or nothing. */
const char *number_hint(const char *text);

/* The whole argument of an option. Errors: -EINVAL, after one line. */
int number_option(const char *option, const char *text, unsigned min, unsigned max, unsigned *out);

#endif
