/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu bench`: the library's benchmarks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bench/baseline.h"
#include "bench/bench.h"
#include "vmm/util/file.h"
#include "vmm/util/log.h"
#include "vmm/util/options.h"

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
	     "what\nothers use for the same, with the ratio of ours to it in brackets; `bare` is the least that it "
	     "can be.\nWithout BENCH: all of them.\n");
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
	vmm_log("bench: there is no '%s' (try: viommu bench --help)", name);
	return -1;
}

static void run(unsigned bench)
{
	benches[bench].run();
	bench_table();
}

static FILE *open_json(const char *path)
{
	const int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666, FILE_REGULAR | FILE_STREAM);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (file)
		fcntl(fd, F_SETFL, 0); /* a reader that is slow is waited for */
	else
		vmm_log("bench: --json=%s: %s", path, file_error(fd));
	return file;
}

static int close_json(FILE *file, const char *path)
{
	const bool lost = ferror(file);

	if (!fclose(file) && !lost)
		return 0;
	vmm_log("bench: --json=%s cannot be written to: %s", path, lost ? "not all of it was taken" : strerror(errno));
	return STATUS_USAGE;
}

struct request {
	bool json, help;
	const char *path; /* of --json=FILE, or NULL */
	unsigned count;
	unsigned benches[BENCHES];
};

static int take_bench(struct request *request, const char *name)
{
	const int found = find(name);

	for (unsigned i = 0; i < request->count; i++) {
		if ((int)request->benches[i] != found)
			continue;
		vmm_log("bench: '%s' is given twice: give it once", name);
		return -EINVAL;
	}
	if (found < 0)
		return -EINVAL;
	request->benches[request->count++] = (unsigned)found;
	return 0;
}

static int parse(struct request *request, int argc, char **argv)
{
	enum { JSON, HELP };
	static const struct option_spec specs[] = {
		[JSON] = {"json", OPTION_ATTACHED, false, false},
		[HELP] = {"help", OPTION_ALONE, false, false},
	};
	struct options words = {.command = "viommu bench", .specs = specs, .count = 2, .argc = argc, .argv = argv};
	const char *word;
	int option;

	while ((option = options_next(&words, &word)) != OPTIONS_END) {
		if (option == JSON) {
			request->json = true;
			request->path = word;
		} else if (option == HELP) {
			request->help = true;
		} else if (option != OPTIONS_WORD || take_bench(request, word)) {
			return -EINVAL;
		}
	}
	return 0;
}

int bench_main(int argc, char **argv)
{
	struct request request = {0};
	FILE *json = NULL;

	if (parse(&request, argc, argv))
		return STATUS_USAGE;
	if (request.help) {
		help();
		return 0;
	}
	if (request.path && !(json = open_json(request.path)))
		return STATUS_USAGE;
	if (request.json)
		bench_json(json ? json : stdout);
	bench_threads();
	baseline_check();
	for (unsigned i = 0; i < (request.count ? request.count : BENCHES); i++)
		run(request.count ? request.benches[i] : i);
	return json ? close_json(json, request.path) : 0;
}
