/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"

/* strtoull() itself would take blanks, signs, and numbers of another base. */
static const char *number_take(const char *digits, size_t len, int base, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(digits, &end, base);
	return errno || !len || end != digits + len ? NULL : end;
}

const char *number_scan(const char *text, uint64_t *out)
{
	const size_t len = strspn(text, "0123456789");

	return *text == '0' && len > 1 ? NULL : number_take(text, len, 10, out);
}

const char *number_scan_word(const char *text, uint64_t *out)
{
	if (text[0] != '0' || text[1] != 'x')
		return number_scan(text, out);
	return number_take(text + 2, strspn(text + 2, "0123456789abcdefABCDEF"), 16, out);
}

int number_parse(const char *text, unsigned min, unsigned max, unsigned *out)
{
	uint64_t value;
	const char *end = number_scan(text, &value);

	if (!end || *end || value < min || value > max)
		return -EINVAL;
	*out = (unsigned)value;
	return 0;
}

const char *number_hint(const char *text)
{
	return text[0] == '0' && text[1] ? ", in decimal and without zeros in front" : "";
}

int number_option(const char *option, const char *text, unsigned min, unsigned max, unsigned *out)
{
	int err = number_parse(text, min, max, out);

	if (err)
		vmm_log("--%s: '%s': a number from %u to %u is wanted%s", option, text, min, max, number_hint(text));
	return err;
}
