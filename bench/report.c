/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures, as JSON Lines or as a table: ours with goal and verdict, and beside it what others take. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

enum { ROWS = 40, BASELINES = 3 };

struct row {
	const char *name, *unit;
	double value;
	struct bench_goal goal;
	double baselines[BASELINES]; /* 0: not measured */
};

static struct {
	FILE *json; /* or NULL */
	const char *bench;
	struct row rows[ROWS];
	unsigned row_count;
	const char *baselines[BASELINES];
	unsigned baseline_count;
} report;

void bench_json(FILE *file)
{
	report.json = file;
}

static void print_json(const char *bench, const char *name, const char *baseline, double value, const char *unit)
{
	if (!report.json)
		return;
	fprintf(report.json, "{\"bench\": \"%s\", \"case\": \"%s\", ", bench, name);
	if (baseline)
		fprintf(report.json, "\"baseline\": \"%s\", ", baseline);
	fprintf(report.json, "\"value\": %.2f, \"unit\": \"%s\"}\n", value, unit);
	fflush(report.json);
}

static void progress(const char *bench, const char *name, const char *baseline)
{
	fprintf(stderr, "viommu: bench: %s %s%s%s\n", bench, name, baseline ? " of " : "", baseline ? baseline : "");
}

void bench_report(const char *bench, const char *name, double value, const char *unit, struct bench_goal goal)
{
	progress(bench, name, NULL);
	print_json(bench, name, NULL, value, unit);
	report.bench = bench;
	if (report.row_count < ROWS)
		report.rows[report.row_count++] = (struct row){name, unit, value, goal, {0}};
}

static unsigned column(const char *baseline)
{
	unsigned i = 0;

	while (i < report.baseline_count && strcmp(report.baselines[i], baseline))
		i++;
	if (i == report.baseline_count && i < BASELINES)
		report.baselines[report.baseline_count++] = baseline;
	return i;
}

void bench_report_baseline(const char *bench, const char *name, const char *baseline, double value, const char *unit)
{
	progress(bench, name, baseline);
	print_json(bench, name, baseline, value, unit);

	unsigned at = column(baseline);

	for (unsigned i = 0; i < report.row_count && at < BASELINES; i++)
		if (!strcmp(report.rows[i].name, name))
			report.rows[i].baselines[at] = value;
}

static const char *verdict(const struct row *row)
{
	if (!row->goal.relation)
		return "";
	bool reached = row->goal.relation == '<' ? row->value <= row->goal.value : row->value >= row->goal.value;

	return reached ? "ok" : "MISSED";
}

static void print_row(const struct row *row)
{
	char goal[32] = "";

	if (row->goal.relation)
		snprintf(goal, sizeof(goal), "%c= %.4g", row->goal.relation, row->goal.value);
	printf("%-10s %-26s %9.2f %-6s %-8s %-7s", report.bench, row->name, row->value, row->unit, goal, verdict(row));
	for (unsigned i = 0; i < report.baseline_count; i++) {
		char cell[40] = "-";

		if (row->baselines[i] > 0)
			snprintf(cell, sizeof(cell), "%.2f (%.3gx)", row->baselines[i], row->baselines[i] / row->value);
		printf(" %20s", cell);
	}
	putchar('\n');
}

void bench_table(void)
{
	bool table = report.json != stdout;

	if (table && report.row_count) {
		printf("%-10s %-26s %9s %-6s %-8s %-7s", "bench", "case", "viommu", "unit", "goal", "verdict");
		for (unsigned i = 0; i < report.baseline_count; i++)
			printf(" %20s", report.baselines[i]);
		putchar('\n');
	}
	for (unsigned i = 0; table && i < report.row_count; i++)
		print_row(&report.rows[i]);
	report.row_count = report.baseline_count = 0;
	fflush(stdout);
}
