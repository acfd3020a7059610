/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu COMMAND`: finds the command and hands over. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "vmm/ctl.h"
#include "vmm/doctor.h"
#include "vmm/run.h"
#include "vmm/util/log.h"
#include "vmm/util/options.h"
#include "vmm/util/streams.h"

static int help_main(int argc, char **argv);

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"run", run_main, "boot a guest; its devices may sit behind a virtual IOMMU"},
	{"ctl", ctl_main, "ask a running monitor, or stop it"},
	{"doctor", doctor_main, "say what this machine offers and what is missing"},
	{"bench", bench_main, "measure the library"},
	{"help", help_main, "this text"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), STATUS_USAGE = 2 };

static int help_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {{"help", OPTION_ALONE, false, false}};
	struct options words = {.command = "viommu", .specs = specs, .count = 1, .argc = argc, .argv = argv};
	const char *word;
	int option;

	while ((option = options_next(&words, &word)) >= 0)
		;
	if (option == OPTIONS_WORD)
		options_unexpected(&words, word);
	if (option != OPTIONS_END)
		return STATUS_USAGE;
	puts("usage: viommu COMMAND [OPTION...]\n\n"
	     "A KVM virtual machine monitor in which every device can sit behind a virtual IOMMU.\n\ncommands:");
	for (unsigned i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	puts("\n`viommu COMMAND --help` tells more.");
	return 0;
}

static int run_command(int argc, char **argv)
{
	if (argc < 2) {
		vmm_log("which command? (try: viommu help)");
		return STATUS_USAGE;
	}
	const char *name = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ? "help" : argv[1];

	for (unsigned i = 0; i < COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	vmm_log("unknown command '%s' (try: viommu help)", name);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	return streams_open() ? streams_finish(run_command(argc, argv)) : STATUS_USAGE;
}
