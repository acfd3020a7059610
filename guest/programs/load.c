/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load METRIC TARGET WARM MILLISECONDS: WARM milliseconds of load, then a line ">" on stdout; after a line on stdin
 * MILLISECONDS of load, and a line "<"; after another line "load: count N seconds S". Counters are read while it waits,
 * and what is said in between is short because each character costs exits. Where MILLISECONDS is 0 there is no second
 * part, and the count is that of the first one. load serve PORT: the peer.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	const struct load_ops *ops;
} metrics[] = {
	{"send-64K", &load_send},      {"receive-64K", &load_receive},  {"round-trips", &load_round_trips},
	{"read-4K-qd1", &load_read_1}, {"read-4K-qd32", &load_read_32},
};

double load_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int load_failed(const char *what)
{
	fprintf(stderr, "load: ");
	perror(what);
	return -1;
}

static const struct load_ops *find(const char *name)
{
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (!strcmp(metrics[i].name, name))
			return metrics[i].ops;
	return NULL;
}

/* Says a word, and waits for a line. */
static int wait_after(const char *word)
{
	char line[16];

	puts(word);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) ? 0 : -1;
}

static int measure(const struct load_ops *ops, const char *target, unsigned warm, unsigned milliseconds)
{
	struct load_result result = {0};

	if (ops->open(target) || ops->warm(warm, &result))
		return 1;
	if (milliseconds && (wait_after(">") || ops->measure(milliseconds, &result) || wait_after("<")))
		return 1;
	printf("load: count %llu seconds %.6f\n", (unsigned long long)result.count, result.seconds);
	return 0;
}

int main(int argc, char **argv)
{
	const struct load_ops *ops = argc == 5 ? find(argv[1]) : NULL;

	if (ops)
		return measure(ops, argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return load_serve(argv[2]) ? 1 : 0;
	fprintf(stderr, "usage: load METRIC TARGET WARM MILLISECONDS | load serve PORT; metrics:");
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		fprintf(stderr, " %s", metrics[i].name);
	fprintf(stderr, "\n");
	return 2;
}
