/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all fuzz targets share: the input as a tape that decisions are taken from, and a check that ends the process
 * with its reason. A tape that has run out gives zeroes, so every input is a valid one. A target is one function for
 * libFuzzer, LLVMFuzzerTestOneInput(), that leaves nothing behind.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct tape {
	const uint8_t *at;
	size_t left;
};

/* The next `len` bytes, as far as there are any; zeroes behind. */
static inline void tape_copy(struct tape *tape, void *to, size_t len)
{
	const size_t have = len < tape->left ? len : tape->left;

	if (have)
		memcpy(to, tape->at, have);
	memset((uint8_t *)to + have, 0, len - have);
	tape->at += have;
	tape->left -= have;
}

static inline uint8_t tape_u8(struct tape *tape)
{
	uint8_t value;

	tape_copy(tape, &value, sizeof(value));
	return value;
}

static inline uint16_t tape_u16(struct tape *tape)
{
	uint16_t value;

	tape_copy(tape, &value, sizeof(value));
	return value;
}

static inline uint32_t tape_u32(struct tape *tape)
{
	uint32_t value;

	tape_copy(tape, &value, sizeof(value));
	return value;
}

static inline uint64_t tape_u64(struct tape *tape)
{
	uint64_t value;

	tape_copy(tape, &value, sizeof(value));
	return value;
}

/* Up to 256 choices. */
static inline unsigned tape_below(struct tape *tape, unsigned limit)
{
	return tape_u8(tape) % limit;
}

enum { SECRET_SIZE = 16 };

/*
 * Bytes that are in no input by accident, to be found where they must not get to. libFuzzer would learn a constant from
 * the comparison and put it into inputs, so they come from the input itself (FNV-1a).
 */
static inline void make_secret(const struct tape *tape, uint8_t secret[SECRET_SIZE])
{
	uint64_t hash[2] = {0xcbf29ce484222325, 0};

	for (size_t i = 0; i < tape->left; i++)
		hash[0] = (hash[0] ^ tape->at[i]) * 0x100000001b3;
	hash[1] = ~hash[0] * 0x9e3779b97f4a7c15;
	memcpy(secret, hash, SECRET_SIZE);
}

#define CHECK(condition, ...)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fputc('\n', stderr);                                                                           \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
