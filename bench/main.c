/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu bench`: the library's benchmarks. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "bench/baseline.h"
#include "bench/bench.h"

static const struct {
	const char *name;
	void (*run)(void);
	const char *summary;
} benches[] = {
	{"translate", bench_translate, "hits, random look-ups, sections, two readers"},
	{"map", bench_map_unmap, "map and unmap of 4 KiB, memory per mapping"},
	{"walk", bench_walk, "walks of page tables in guest memory, and through a VT-d unit: what a miss costs"},
	{"iotlb", bench_iotlb, "device IOTLBs: of another process, by messages and by a shared table"},
};

enum { BENCHES = sizeof(benches) / sizeof(benches[0]), STATUS_USAGE = 2 };

static void help(void)
{
	puts("usage: viommu bench [--json[=FILE]] [BENCH...]\n\n"
	     "Measures the library in this process, in processor time of one thread where nothing else is said, and "
	     "beside it "
	     "what\nothers use for the same. Without BENCH: all of them.\n");
	for (unsigned i = 0; i < BENCHES; i++)
		printf("  %-10s %s\n", benches[i].name, benches[i].summary);
	puts("\n  --json         one JSON object a line for each figure, no table\n"
	     "  --json=FILE    the same into FILE, and the table\n  --help         this text");
}

static int find(const char *name)
{
	for (unsigned i = 0; i < BENCHES; i++)
		if (!strcmp(benches[i].name, name))
			return (int)i;
	fprintf(stderr, "viommu: bench: there is no '%s' (try: viommu bench --help)\n", name);
	return -1;
}

static void run(unsigned bench)
{
	benches[bench].run();
	bench_table();
}

static int open_json(const char *path)
{
	FILE *file = path ? fopen(path, "we") : stdout;

	if (!file) {
		fprintf(stderr, "viommu: bench: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	bench_json(file); /* open to the end of the process */
	return 0;
}

int bench_main(int argc, char **argv)
{
	static const struct option options[] = {{"json", 2, NULL, 'j'}, {"help", 0, NULL, 'h'}, {0}};
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
		if (open_json(optarg))
			return STATUS_USAGE;
	}
	for (int i = optind; i < argc; i++)
		if (find(argv[i]) < 0)
			return STATUS_USAGE;
	baseline_check();
	for (unsigned i = 0; optind == argc && i < BENCHES; i++)
		run(i);
	for (int i = optind; i < argc; i++)
		run((unsigned)find(argv[i]));
	return 0;
}
