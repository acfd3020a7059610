/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu bench`: the library's benchmarks. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

static const struct {
	const char *name;
	void (*run)(void);
	const char *summary;
} benches[] = {
	{"translate", bench_translate, "hits, random look-ups, sections, two readers"},
	{"map", bench_map_unmap, "map and unmap of 4 KiB, memory per mapping"},
	{"walk", bench_walk, "walks of page tables in guest memory: what a miss costs"},
};

enum { BENCHES = sizeof(benches) / sizeof(benches[0]), STATUS_USAGE = 2 };

static void help(void)
{
	puts("usage: viommu bench [--json] [BENCH...]\n\n"
	     "Measures the library in this process, on one core where nothing else is said. Without BENCH: all of "
	     "them.\n");
	for (unsigned i = 0; i < BENCHES; i++)
		printf("  %-10s %s\n", benches[i].name, benches[i].summary);
	puts("\n  --json     one JSON object for each figure\n  --help     this text");
}

static int find(const char *name)
{
	for (unsigned i = 0; i < BENCHES; i++)
		if (!strcmp(benches[i].name, name))
			return (int)i;
	fprintf(stderr, "viommu: bench: there is no '%s' (try: viommu bench --help)\n", name);
	return -1;
}

int bench_main(int argc, char **argv)
{
	static const struct option options[] = {{"json", 0, NULL, 'j'}, {"help", 0, NULL, 'h'}, {0}};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			help();
			return 0;
		}
		if (option != 'j') {
			fprintf(stderr, "viommu: bench: unknown option '%s' (try: viommu bench --help)\n",
				argv[optind - 1]);
			return STATUS_USAGE;
		}
		bench_json(true);
	}
	for (int i = optind; i < argc; i++)
		if (find(argv[i]) < 0)
			return STATUS_USAGE;
	for (unsigned i = 0; optind == argc && i < BENCHES; i++)
		benches[i].run();
	for (int i = optind; i < argc; i++)
		benches[find(argv[i])].run();
	return 0;
}
