/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures, as JSON Lines or as a table: ours with goal and verdict, and beside it what others take, in brackets the
 * ratio of ours to that.
 */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

enum { ROWS = 40, COLUMNS = 5 };

struct cell {
	double value; /* 0: not measured */
	double ratio; /* ours to it */
};

struct row {
	const char *name, *unit;
	double value;
	struct bench_goal goal;
	struct cell cells[COLUMNS];
};

static struct {
	FILE *json; /* or NULL */
	const char *bench;
	struct row rows[ROWS];
	unsigned row_count;
	const char *columns[COLUMNS]; /* what others are called */
	unsigned column_count;
} report;

void bench_json(FILE *file)
{
	report.json = file;
}

static void json_open(const char *bench, const char *name, const char *baseline)
{
	fprintf(report.json, "{\"bench\": \"%s\", \"case\": \"%s\", ", bench, name);
	if (baseline)
		fprintf(report.json, "\"baseline\": \"%s\", ", baseline);
}

/* `ratio` is ours to `bare` where that is given, else to the baseline; 0: they were not measured in turn. */
static void print_json(const char *bench, const char *name, const char *baseline, double value, const char *unit,
		       double bare, double ratio)
{
	if (!report.json)
		return;
	json_open(bench, name, baseline);
	fprintf(report.json, "\"value\": %.2f, \"unit\": \"%s\"", value, unit);
	if (bare > 0)
		fprintf(report.json, ", \"bare\": %.2f", bare);
	if (ratio > 0)
		fprintf(report.json, ", \"ratio\": %.3f", ratio);
	fputs("}\n", report.json);
	fflush(report.json);
}

static void progress(const char *bench, const char *name, const char *baseline)
{
	fprintf(stderr, "viommu: bench: %s %s%s%s\n", bench, name, baseline ? " of " : "", baseline ? baseline : "");
}

static void add_row(const char *bench, const char *name, double value, const char *unit, struct bench_goal goal)
{
	report.bench = bench;
	if (report.row_count < ROWS)
		report.rows[report.row_count++] = (struct row){name, unit, value, goal, {{0}}};
}

static unsigned column(const char *baseline)
{
	unsigned i = 0;

	while (i < report.column_count && strcmp(report.columns[i], baseline))
		i++;
	if (i == report.column_count && i < COLUMNS)
		report.columns[report.column_count++] = baseline;
	return i;
}

/* A ratio of 0: that of the two values. */
static void add_cell(const char *name, const char *baseline, double value, double ratio)
{
	unsigned at = column(baseline);

	for (unsigned i = 0; i < report.row_count && at < COLUMNS; i++) {
		struct row *row = &report.rows[i];

		if (!strcmp(row->name, name))
			row->cells[at] = (struct cell){value, ratio > 0 ? ratio : row->value / value};
	}
}

void bench_report(const char *bench, const char *name, double value, const char *unit, struct bench_goal goal)
{
	progress(bench, name, NULL);
	print_json(bench, name, NULL, value, unit, 0, 0);
	add_row(bench, name, value, unit, goal);
}

void bench_report_baseline(const char *bench, const char *name, const char *baseline, double value, const char *unit)
{
	progress(bench, name, baseline);
	print_json(bench, name, baseline, value, unit, 0, 0);
	add_cell(name, baseline, value, 0);
}

void bench_report_sides(const char *bench, const char *name, const struct bench_side *sides, unsigned count,
			struct bench_goal goal)
{
	struct bench_side bare = {0};

	for (unsigned i = 1; i < count; i++)
		if (!strcmp(sides[i].name, BENCH_BARE))
			bare = sides[i];
	progress(bench, name, NULL);
	print_json(bench, name, NULL, sides[0].value, "ns", bare.value, bare.ratio);
	add_row(bench, name, sides[0].value, "ns", goal);
	for (unsigned i = 1; i < count; i++) {
		add_cell(name, sides[i].name, sides[i].value, sides[i].ratio);
		if (!strcmp(sides[i].name, BENCH_BARE))
			continue;
		progress(bench, name, sides[i].name);
		print_json(bench, name, sides[i].name, sides[i].value, "ns", 0, sides[i].ratio);
	}
}

/* What the goal is about: the figure, or its ratio to a side; 0: that was not measured. */
static double judged(const struct row *row)
{
	return row->goal.against ? row->cells[column(row->goal.against)].ratio : row->value;
}

static const char *verdict(const struct row *row)
{
	const double value = row->goal.relation ? judged(row) : 0;

	if (!(value > 0))
		return "";
	return (row->goal.relation == '<' ? value <= row->goal.value : value >= row->goal.value) ? "ok" : "MISSED";
}

static void print_row(const struct row *row)
{
	char goal[40] = "";

	if (row->goal.relation)
		snprintf(goal, sizeof(goal), "%c= %.4g%s%s", row->goal.relation, row->goal.value,
			 row->goal.against ? " x " : "", row->goal.against ? row->goal.against : "");
	printf("%-10s %-26s %9.2f %-6s %-22s %-7s", report.bench, row->name, row->value, row->unit, goal, verdict(row));
	for (unsigned i = 0; i < report.column_count; i++) {
		const struct cell *cell = &row->cells[i];
		char text[40] = "-";

		if (cell->value > 0)
			snprintf(text, sizeof(text), "%.2f (%.3g)", cell->value, cell->ratio);
		printf(" %20s", text);
	}
	putchar('\n');
}

void bench_table(void)
{
	bool table = report.json != stdout;

	if (table && report.row_count) {
		printf("%-10s %-26s %9s %-6s %-22s %-7s", "bench", "case", "viommu", "unit", "goal", "verdict");
		for (unsigned i = 0; i < report.column_count; i++)
			printf(" %20s", report.columns[i]);
		putchar('\n');
	}
	for (unsigned i = 0; table && i < report.row_count; i++)
		print_row(&report.rows[i]);
	report.row_count = report.column_count = 0;
	fflush(stdout);
}
