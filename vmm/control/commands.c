/* SPDX-License-Identifier: BSD-2-Clause */
/* What clients can ask, and the answers. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <viommu/viommu.h>

#include "vmm/config/config.h"
#include "vmm/control/internal.h"
#include "vmm/irqchip/route.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/polling.h"

enum { TEXT_MAX = 256, NS_PER_US = 1000 };

/* Counters are far from 2^63 in any machine's life. */
static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

/* File names need not be UTF-8, JSON must: then what is not ASCII becomes '?'. NULL stays null. */
static json_t *text(const char *string)
{
	json_t *value = string ? json_string(string) : json_null();

	if (value)
		return value;
	char *copy = strdup(string);

	for (char *at = copy; at && *at; at++)
		if (*at & 0x80)
			*at = '?';
	value = copy ? json_string(copy) : NULL;
	free(copy);
	return value;
}

/* As on the command line: without the segment, and on the root bus without the bus. */
static json_t *slot_name(const struct registered *device)
{
	enum { SEGMENT = sizeof("0000:") - 1, ROOT_BUS = sizeof("0000:00:") - 1 };

	return json_string(device->dev->name + (device->requester >> 8 ? SEGMENT : ROOT_BUS));
}

static double uptime(const struct control *control)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	const uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - control->start_ns;
	const uint64_t ms = ns / 1000000;

	return (double)ms / 1000;
}

static json_t *describe_device(const struct registered *registered, enum iommu_kind kind)
{
	const struct device_config *device = registered->config;
	json_t *described =
		json_pack("{s:o, s:s, s:o, s:b}", "slot", slot_name(registered), "kind",
			  config_device_name(device->kind), "name", text(device->name), "iommu", device->iommu);

	if (kind == IOMMU_INTEL)
		json_object_set_new(described, "ats", json_boolean(device->ats));
	return described;
}

/* Those of the command line and of the control socket, not what the machine has on its own account. */
static struct registered *next_device(const struct control *control, struct registered *device)
{
	const struct registry *registry = control->machine.registry;

	do {
		device = registry ? registry_next(registry, device) : NULL;
	} while (device && !device->config);
	return device;
}

static json_t *answer_info(struct control *control)
{
	const struct run_config *config = control->config;
	json_t *devices = json_array();

	for (struct registered *device = NULL; (device = next_device(control, device));)
		json_array_append_new(devices, describe_device(device, config->iommu.kind));
	json_t *info = json_pack("{s:s, s:i, s:f, s:i, s:i, s:o, s:s}", "version", VIOMMU_VERSION, "pid", (int)getpid(),
				 "uptime", uptime(control), "boots", (int)control->boots, "cpus", (int)config->cpus,
				 "memory", number(config->memory.size), "iommu", iommu_config_name(config->iommu.kind));

	if (config->iommu.kind == IOMMU_INTEL)
		control_add_vtd_info(info, &config->iommu);
	json_object_set_new(info, "devices", devices);
	return info;
}

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{"maps", offsetof(struct viommu_stats, maps)},
	{"unmaps", offsetof(struct viommu_stats, unmaps)},
	{"invalidations", offsetof(struct viommu_stats, invalidations)},
	{"waited", offsetof(struct viommu_stats, waited)},
	{"faults", offsetof(struct viommu_stats, faults)},
	{"faults_unlogged", offsetof(struct viommu_stats, faults_unlogged)},
	{"events_dropped", offsetof(struct viommu_stats, events_dropped)},
	{"table_bytes", offsetof(struct viommu_stats, table_bytes)},
	{"quarantined", offsetof(struct viommu_stats, quarantined)},
};

static const struct {
	const char *name;
	size_t offset;
} interrupt_counters[] = {
	{"routes_changed", offsetof(struct irq_stats, changed)},
	{"routes_resolved", offsetof(struct irq_stats, resolved)},
	{"route_invalidations", offsetof(struct irq_stats, invalidations)},
	{"route_commits", offsetof(struct irq_stats, commits)},
	{"interrupts_blocked", offsetof(struct irq_stats, blocked)},
};

static void add_interrupts(json_t *answer, const struct control_machine *machine)
{
	struct irq_stats stats;

	machine->interrupts(machine->opaque, &stats);
	for (size_t i = 0; i < sizeof(interrupt_counters) / sizeof(interrupt_counters[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&stats + interrupt_counters[i].offset, sizeof(value));
		json_object_set_new(answer, interrupt_counters[i].name, number(value));
	}
}

static void add_polling(json_t *stats, const struct polling_stats *polling)
{
	json_object_set_new(stats, "polling_begun", number(polling->begun));
	json_object_set_new(stats, "polling_us", number(polling->ns / NS_PER_US));
	json_object_set_new(stats, "polling_looks", number(polling->looks));
	json_object_set_new(stats, "polling_found", number(polling->found));
}

static json_t *device_stats(struct control *control, const struct registered *device)
{
	const struct pci_ops *ops = device->dev->ops;
	struct pci_iotlb_stats iotlb;
	struct kick_stats kicks;
	json_t *stats = json_pack("{s:o, s:s, s:o}", "slot", slot_name(device), "kind",
				  config_device_name(device->config->kind), "faults",
				  number(fault_history_count(&control->faults, device->requester)));

	/* A device IOTLB of its own: the kernel's, or a back end's. */
	if (ops->iotlb_stats && ops->iotlb_stats(device->dev, &iotlb)) {
		json_object_set_new(stats, "path", json_string(iotlb.path));
		json_object_set_new(stats, "misses", number(iotlb.misses));
		json_object_set_new(stats, "updates", number(iotlb.updates));
		json_object_set_new(stats, "invalidations", number(iotlb.invalidations));
		json_object_set_new(stats, "connections", number(iotlb.connections));
	}
	if (ops->kick_stats && ops->kick_stats(device->dev, &kicks)) {
		json_object_set_new(stats, "notifications", number(kicks.notifications));
		add_polling(stats, &kicks.polling);
	}
	return stats;
}

static void add_requests(json_t *answer, const struct control_machine *machine)
{
	struct request_stats stats = {0};

	if (!machine->requests || !machine->requests(machine->opaque, &stats))
		return;
	json_object_set_new(answer, "requests", number(stats.requests));
	json_object_set_new(answer, "request_batches", number(stats.batches));
	json_object_set_new(answer, "request_notifications", number(stats.notifications));
	add_polling(answer, &stats.polling);
}

static json_t *answer_stats(struct control *control)
{
	const struct control_machine *machine = &control->machine;
	json_t *answer = json_object(), *devices = json_array();
	struct viommu_stats stats = {.size = sizeof(struct viommu_stats)};

	viommu_stats_get(machine->v, &stats);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&stats + counters[i].offset, sizeof(value));
		json_object_set_new(answer, counters[i].name, number(value));
	}
	if (machine->exits)
		json_object_set_new(answer, "exits", number(machine->exits(machine->opaque)));
	if (machine->interrupts)
		add_interrupts(answer, machine);
	control_add_vtd_stats(answer, machine, stats.walks);
	add_requests(answer, machine);
	for (struct registered *device = NULL; (device = next_device(control, device));)
		json_array_append_new(devices, device_stats(control, device));
	json_object_set_new(answer, "devices", devices);
	return answer;
}

static const char *access_name(unsigned access)
{
	switch (access & (VIOMMU_READ | VIOMMU_WRITE)) {
	case VIOMMU_READ:
		return "read";
	case VIOMMU_WRITE:
		return "write";
	default:
		return "read-write";
	}
}

/* Addresses are text: they have 64 bits, and JSON's readers keep 53 or 63. */
static json_t *describe_fault(const struct fault_record *record)
{
	const struct viommu_fault *fault = &record->fault;
	const uint64_t ms = (uint64_t)record->time.tv_sec * 1000 + (uint64_t)record->time.tv_nsec / 1000000;
	char device[16], address[24];

	snprintf(device, sizeof(device), "%04x:%02x:%02x.%x", fault->endpoint >> 16 & 0xffff,
		 fault->endpoint >> 8 & 0xff, fault->endpoint >> 3 & 0x1f, fault->endpoint & 7);
	snprintf(address, sizeof(address), "0x%" PRIx64, fault->iova.value);
	return json_pack("{s:f, s:s, s:s, s:s, s:s, s:o}", "time", (double)ms / 1000, "device", device, "address",
			 address, "access", access_name(fault->access), "reason",
			 viommu_fault_reason_name(fault->reason), "domain",
			 fault->in_domain ? number(fault->domain) : json_null());
}

static json_t *answer_faults(struct control *control)
{
	struct fault_record records[FAULT_HISTORY];
	const unsigned count = fault_history_get(&control->faults, records);
	json_t *faults = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(faults, describe_fault(&records[i]));
	return json_pack("{s:o}", "faults", faults);
}

/* The reply is written in this round of the loop, which is the last one. */
static json_t *answer_stop(struct control *control)
{
	control->stopped = true;
	loop_stop(control->machine.loop);
	return json_object();
}

static const struct {
	const char *name;
	json_t *(*answer)(struct control *control);
} commands[] = {
	{"info", answer_info},
	{"stats", answer_stats},
	{"faults", answer_faults},
	{"stop", answer_stop},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* Takes `object`, which may be NULL: no memory. */
static char *line_of(json_t *object)
{
	char *line = object ? json_dumps(object, JSON_REAL_PRECISION(15)) : NULL;
	const size_t len = line ? strlen(line) : 0;
	char *longer = line ? realloc(line, len + 2) : NULL;

	json_decref(object);
	if (longer)
		memcpy(longer + len, "\n", 2);
	else
		free(line);
	return longer;
}

char *control_error(const char *why)
{
	return line_of(json_pack("{s:o}", "error", text(why)));
}

static char *unknown_command(const char *name)
{
	char why[TEXT_MAX];
	int used = snprintf(why, sizeof(why), "unknown command '%.64s'; there are:", name);

	for (unsigned i = 0; i < COMMANDS && used > 0 && (size_t)used < sizeof(why); i++)
		used += snprintf(why + used, sizeof(why) - (size_t)used, "%s %s", i ? "," : "", commands[i].name);
	return control_error(why);
}

/* A request has this one member: what we would ignore is better refused. */
static char *answer_request(struct control *control, const json_t *request)
{
	const json_t *command = json_object_get(request, "execute");
	const char *key;
	json_t *value;

	if (!json_is_string(command))
		return control_error("a request is an object with the string \"execute\"");
	json_object_foreach((json_t *)request, key, value)
	{
		char why[TEXT_MAX];

		if (value == command)
			continue;
		snprintf(why, sizeof(why), "unknown member '%.64s'", key);
		return control_error(why);
	}
	for (unsigned i = 0; i < COMMANDS; i++)
		if (!strcmp(json_string_value(command), commands[i].name))
			return line_of(json_pack("{s:o}", "return", commands[i].answer(control)));
	return unknown_command(json_string_value(command));
}

char *control_answer(struct control *control, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	char why[TEXT_MAX];

	if (!request) {
		snprintf(why, sizeof(why), "not JSON: %.200s", error.text);
		return control_error(why);
	}
	char *answer = answer_request(control, request);

	json_decref(request);
	return answer;
}
