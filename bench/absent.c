/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu bench` in a build without the benchmarks. */
#include "bench/bench.h"

#include <stdio.h>

int bench_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs("viommu: bench: this build has no benchmarks; configure it with -Dbench=enabled\n", stderr);
	return 2;
}
