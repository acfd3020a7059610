/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/show.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "vmm/util/log.h"

enum { CELL_MAX = 4096 };

/* Names come from command lines and may hold anything; a terminal gets printable characters. */
static const char *cell(const json_t *value, char *buffer, size_t size)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		snprintf(buffer, size, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		snprintf(buffer, size, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(buffer, size, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
		return "on";
	case JSON_FALSE:
		return "off";
	default:
		return "-";
	}
	log_make_printable(buffer);
	return buffer;
}

/* Columns of a fixed width, as wide as what usually stands there. */
static void show_row(const json_t *row, const char *const *columns, const int *widths, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char buffer[CELL_MAX];
		const json_t *value = json_object_get(row, columns[i]);

		printf("%-*s%s", widths[i], value ? cell(value, buffer, sizeof(buffer)) : "-",
		       i + 1 < count ? "  " : "\n");
	}
}

static const struct column {
	const char *key;
	int width;
} device_columns[] = {
	{"slot", 5},           {"kind", 12},          {"iommu", 5},          {"ats", 3},
	{"faults", 6},         {"path", 17},          {"misses", 10},        {"updates", 10},
	{"invalidations", 13}, {"connections", 11},   {"notifications", 13}, {"polling_begun", 13},
	{"polling_us", 11},    {"polling_looks", 13}, {"polling_found", 13}, {"name", 0},
};

enum { DEVICE_COLUMNS = sizeof(device_columns) / sizeof(device_columns[0]) };

static bool any_has(const json_t *rows, const char *key)
{
	for (size_t i = 0; i < json_array_size(rows); i++)
		if (json_object_get(json_array_get(rows, i), key))
			return true;
	return false;
}

/* Those columns that some device has something for. */
static void show_devices(const json_t *devices)
{
	const char *present[DEVICE_COLUMNS];
	int width[DEVICE_COLUMNS];
	unsigned count = 0;

	for (unsigned c = 0; c < DEVICE_COLUMNS; c++) {
		if (!any_has(devices, device_columns[c].key))
			continue;
		present[count] = device_columns[c].key;
		width[count++] = device_columns[c].width;
	}
	for (unsigned c = 0; c < count; c++)
		printf("%-*s%s", width[c], present[c], c + 1 < count ? "  " : "\n");
	for (size_t i = 0; i < json_array_size(devices); i++)
		show_row(json_array_get(devices, i), present, width, count);
}

void show_members(const json_t *answer)
{
	const json_t *value, *devices = json_object_get(answer, "devices");
	const char *key;

	json_object_foreach((json_t *)answer, key, value)
	{
		char buffer[CELL_MAX], name[CELL_MAX];

		if (value == devices)
			continue;
		snprintf(name, sizeof(name), "%s", key);
		log_make_printable(name);
		printf("%-24s  %s\n", name, cell(value, buffer, sizeof(buffer)));
	}
	if (json_array_size(devices)) {
		putchar('\n');
		show_devices(devices);
	}
}

/* The time of day is for people; --json has seconds since 1970. */
static void show_time(const json_t *fault)
{
	const double seconds = json_number_value(json_object_get(fault, "time"));
	const time_t whole = (time_t)seconds;
	struct tm local;
	char text[32] = "?";

	if (localtime_r(&whole, &local))
		strftime(text, sizeof(text), "%F %T", &local);
	printf("%-19s  ", text);
}

void show_faults(const json_t *answer)
{
	static const char *const columns[] = {"device", "access", "address", "domain", "reason"};
	static const int widths[] = {12, 10, 18, 6, 0};
	const json_t *faults = json_object_get(answer, "faults");

	printf("%-19s  %-12s  %-10s  %-18s  %-6s  %s\n", "time", "device", "access", "address", "domain", "reason");
	for (size_t i = 0; i < json_array_size(faults); i++) {
		show_time(json_array_get(faults, i));
		show_row(json_array_get(faults, i), columns, widths, 5);
	}
}

void show_nothing(const json_t *answer)
{
	(void)answer;
}

void show_json(const json_t *answer)
{
	/* A terminal may see this, too: control characters beyond ASCII are escaped as those of it are. */
	json_dumpf(answer, stdout, JSON_REAL_PRECISION(15) | JSON_ENSURE_ASCII);
	putchar('\n');
}

void show_json_faults(const json_t *answer)
{
	const json_t *faults = json_object_get(answer, "faults");

	for (size_t i = 0; i < json_array_size(faults); i++)
		show_json(json_array_get(faults, i));
}
