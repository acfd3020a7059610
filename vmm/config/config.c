/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/config.h"
#include "vmm/config/keyval.h"
#include "vmm/util/log.h"
#include "vmm/util/number.h"
#include "vmm/util/options.h"

enum { DEFAULT_MEMORY = 512 << 20, MEMORY_ALIGN = 4096, KEYS = 16, MAX_QUEUE_PAIRS = 8 };

/*
 * Queues of a disk: what it can have, and what it has where nothing else is asked for and there are as many processors.
 */
enum { DISK_QUEUES_MAX = 8, DISK_QUEUES = 4 };

/* One option of the command line. */
struct option_def {
	const char *name;
	enum option_argument argument;
	bool repeats, may_be_empty;
	int (*take)(struct run_config *config, const struct option_def *def, const char *text);
	size_t offset;           /* plain strings: where they go */
	enum device_kind device; /* device options */
};

static int take_string(struct run_config *config, const struct option_def *def, const char *text)
{
	char **out = (char **)((char *)config + def->offset);

	free(*out);
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

/* FILE[,ARGUMENTS] */
static int take_initrd(struct run_config *config, const struct option_def *def, const char *text)
{
	const size_t len = strcspn(text, ",");

	if (config->initrd_count == BOOT_INITRDS_MAX) {
		vmm_log("--%s: given more than %d times", def->name, BOOT_INITRDS_MAX);
		return -EINVAL;
	}
	if (!len || (text[len] && !text[len + 1])) {
		vmm_log("--%s: '%s': FILE or FILE,ARGUMENTS is wanted", def->name, text);
		return -EINVAL;
	}
	struct boot_initrd *initrd = &config->initrds[config->initrd_count++];

	initrd->file = strndup(text, len);
	if (!initrd->file)
		return -ENOMEM;
	if (!text[len])
		return 0;
	initrd->arguments = strdup(text + len + 1);
	return initrd->arguments ? 0 : -ENOMEM;
}

static int take_cpus(struct run_config *config, const struct option_def *def, const char *text)
{
	return number_option(def->name, text, 1, LAYOUT_MAX_VCPUS, &config->cpus);
}

static int check_memory(const struct ram_config *memory)
{
	const uint64_t page = memory->hugepage_size, smallest = page ? page : RAM_HUGE_2M;

	if (page && page != RAM_HUGE_2M && page != RAM_HUGE_1G)
		vmm_log("--memory: hugepage-size is 2M or 1G");
	else if (page && !memory->hugepages)
		vmm_log("--memory: hugepage-size needs hugepages=on");
	else if (memory->hugepages && memory->size % smallest)
		vmm_log("--memory: size must be a multiple of the huge pages (%llu MiB)",
			(unsigned long long)(smallest >> 20));
	else if (memory->size % MEMORY_ALIGN)
		vmm_log("--memory: size must be a multiple of 4K");
	else
		return 0;
	return -EINVAL;
}

static int take_memory(struct run_config *config, const struct option_def *def, const char *text)
{
	const struct key keys[] = {
		{"size", KEY_SIZE, offsetof(struct ram_config, size), 0, 0, true},
		{"hugepages", KEY_SWITCH, offsetof(struct ram_config, hugepages), 0, 0, false},
		{"hugepage-size", KEY_SIZE, offsetof(struct ram_config, hugepage_size), 0, 0, false},
		{"file", KEY_STRING, offsetof(struct ram_config, file), 0, 0, false},
	};
	struct ram_config *memory = &config->memory;

	free(memory->file);
	*memory = (struct ram_config){0};
	int err = keyval_parse(def->name, text, keys, sizeof(keys) / sizeof(keys[0]), memory);

	return err ? err : check_memory(memory);
}

static int take_iommu(struct run_config *config, const struct option_def *def, const char *text)
{
	return iommu_config_parse(&config->iommu, def->name, text);
}

/* The keys of a device option: the one that names it, then those of its kind, then those of all. */
static size_t device_keys(enum device_kind kind, struct key *keys)
{
	static const char *const name_key[] = {[DEVICE_DISK] = "path", [DEVICE_NET] = "tap", [DEVICE_EDU] = NULL};
	size_t count = 0;

	if (kind != DEVICE_RNG)
		keys[count++] = (struct key){name_key[kind],    KEY_STRING, offsetof(struct device_config, name), 0, 0,
					     kind == DEVICE_EDU};
	if (kind == DEVICE_DISK || kind == DEVICE_NET) {
		keys[count++] =
			(struct key){"vhost-user", KEY_STRING, offsetof(struct device_config, socket), 0, 0, false};
		keys[count++] =
			(struct key){"isolate", KEY_SWITCH, offsetof(struct device_config, isolate), 0, 0, false};
		keys[count++] = (struct key){"shared", KEY_SWITCH, offsetof(struct device_config, shared), 0, 0, false};
		keys[count++] =
			(struct key){"indirect", KEY_SWITCH, offsetof(struct device_config, indirect), 0, 0, false};
		keys[count++] = (struct key){"poll", KEY_POLL, offsetof(struct device_config, poll), 0, 0, false};
	}
	if (kind == DEVICE_DISK) {
		keys[count++] =
			(struct key){"readonly", KEY_SWITCH, offsetof(struct device_config, readonly), 0, 0, false};
		keys[count++] = (struct key){"queues", KEY_NUMBER,      offsetof(struct device_config, queues),
					     1,        DISK_QUEUES_MAX, false};
	}
	if (kind == DEVICE_NET) {
		keys[count++] = (struct key){"mac", KEY_MAC, offsetof(struct device_config, mac), 0, 0, false};
		keys[count++] = (struct key){"queues", KEY_NUMBER,      offsetof(struct device_config, queues),
					     1,        MAX_QUEUE_PAIRS, false};
		keys[count++] = (struct key){"vhost", KEY_SWITCH, offsetof(struct device_config, vhost), 0, 0, false};
	}
	keys[count++] = (struct key){"iommu", KEY_SWITCH, offsetof(struct device_config, iommu), 0, 0, false};
	keys[count++] = (struct key){"ats", KEY_SWITCH, offsetof(struct device_config, ats), 0, 0, false};
	keys[count++] = (struct key){
		"addr", KEY_NUMBER, offsetof(struct device_config, slot), RUN_FIRST_SLOT, LAYOUT_BUS_DEVICES - 1,
		false};
	return count;
}

/* What serves it: the monitor, or a back end. */
static int check_server(const struct option_def *def, const struct device_config *device)
{
	const char *own = device->kind == DEVICE_DISK ? "path" : "tap";

	if (!device->name && !device->socket)
		vmm_log("--%s: '%s' is missing, or 'vhost-user'", def->name, own);
	else if (device->name && device->socket)
		vmm_log("--%s: %s= and vhost-user= exclude each other", def->name, own);
	else if (device->isolate && !device->socket)
		vmm_log("--%s: isolate=on needs vhost-user=", def->name);
	else if (device->vhost && device->socket)
		vmm_log("--%s: vhost=on needs tap=", def->name);
	else if (!device->shared && !device->socket)
		vmm_log("--%s: shared=off needs vhost-user=", def->name);
	else if (device->poll != POLLING_AUTO && device->socket)
		vmm_log("--%s: poll= needs %s=: how a back end finds out is its own affair", def->name, own);
	else if (device->readonly && device->socket)
		vmm_log("--%s: whether it is readonly is for the back end to say", def->name);
	else
		return 0;
	return -EINVAL;
}

static int take_device(struct run_config *config, const struct option_def *def, const char *text)
{
	static const uint8_t no_mac[6];
	struct key keys[KEYS];

	if (config->device_count == RUN_DEVICES_MAX) {
		vmm_log("--%s: more devices than PCI slots (%u)", def->name, RUN_DEVICES_MAX);
		return -EINVAL;
	}
	struct device_config *device = &config->devices[config->device_count++];

	device->kind = def->device;
	device->shared = true;
	device->poll = POLLING_AUTO;
	int err = keyval_parse(def->name, text, keys, device_keys(def->device, keys), device);

	if (!err && device->kind == DEVICE_EDU && strcmp(device->name, "edu")) {
		vmm_log("--test-device: unknown device '%s'; there is: edu", device->name);
		err = -EINVAL;
	}
	if (!err && (device->kind == DEVICE_DISK || device->kind == DEVICE_NET))
		err = check_server(def, device);
	device->has_mac = memcmp(device->mac, no_mac, sizeof(no_mac)) != 0;
	return err;
}

static int take_serial(struct run_config *config, const struct option_def *def, const char *text)
{
	if (!strncmp(text, "file=", 5) && text[5]) {
		config->serial = SERIAL_FILE;
		free(config->serial_path);
		config->serial_path = strdup(text + 5);
		return config->serial_path ? 0 : -ENOMEM;
	}
	if (strcmp(text, "stdio") && strcmp(text, "none")) {
		vmm_log("--%s: '%s': stdio, file=PATH or none is wanted", def->name, text);
		return -EINVAL;
	}
	config->serial = strcmp(text, "none") ? SERIAL_STDIO : SERIAL_NONE;
	return 0;
}

static int take_no_reboot(struct run_config *config, const struct option_def *def, const char *text)
{
	(void)def;
	(void)text;
	config->no_reboot = true;
	return 0;
}

static int take_help(struct run_config *config, const struct option_def *def, const char *text)
{
	(void)def;
	(void)text;
	config->help = true;
	return 0;
}

static const struct option_def options[] = {
	{"kernel", OPTION_VALUE, false, false, take_string, offsetof(struct run_config, kernel), 0},
	{"initrd", OPTION_VALUE, true, false, take_initrd, 0, 0},
	{"cmdline", OPTION_VALUE, false, true, take_string, offsetof(struct run_config, cmdline), 0},
	{"cpus", OPTION_VALUE, false, false, take_cpus, 0, 0},
	{"memory", OPTION_VALUE, false, false, take_memory, 0, 0},
	{"iommu", OPTION_VALUE, false, false, take_iommu, 0, 0},
	{"disk", OPTION_VALUE, true, false, take_device, 0, DEVICE_DISK},
	{"net", OPTION_VALUE, true, false, take_device, 0, DEVICE_NET},
	{"rng", OPTION_MAY, true, false, take_device, 0, DEVICE_RNG},
	{"test-device", OPTION_VALUE, true, false, take_device, 0, DEVICE_EDU},
	{"control", OPTION_VALUE, false, false, take_string, offsetof(struct run_config, control), 0},
	{"serial", OPTION_VALUE, false, false, take_serial, 0, 0},
	{"no-reboot", OPTION_ALONE, false, false, take_no_reboot, 0, 0},
	{"help", OPTION_ALONE, false, false, take_help, 0, 0},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

const char *config_device_name(enum device_kind kind)
{
	for (unsigned i = 0; i < OPTIONS; i++)
		if (options[i].take == take_device && options[i].device == kind)
			return options[i].name;
	return "unknown";
}

static int parse_options(struct run_config *config, int argc, char **argv)
{
	struct option_spec specs[OPTIONS];
	struct options words = {.command = "viommu run", .specs = specs, .count = OPTIONS, .argc = argc, .argv = argv};
	const char *value;
	int index, err = 0;

	for (unsigned i = 0; i < OPTIONS; i++) {
		const struct option_def *def = &options[i];

		specs[i] = (struct option_spec){def->name, def->argument, def->repeats, def->may_be_empty};
	}
	while (!err && (index = options_next(&words, &value)) >= 0)
		err = options[index].take(config, &options[index], value ? value : "");
	if (!err && index == OPTIONS_WORD)
		options_unexpected(&words, value);
	return err || index == OPTIONS_END ? err : -EINVAL;
}

static bool slot_taken(const struct run_config *config, unsigned slot, const struct device_config *but)
{
	for (unsigned i = 0; i < config->device_count; i++)
		if (&config->devices[i] != but && config->devices[i].slot == slot)
			return true;
	return false;
}

/* Devices without addr= take the slots that are left, in order. */
static int settle_slots(struct run_config *config)
{
	unsigned next = RUN_FIRST_SLOT;

	for (unsigned i = 0; i < config->device_count; i++) {
		struct device_config *device = &config->devices[i];

		if (device->slot && slot_taken(config, device->slot, device)) {
			vmm_log("addr=%u is given to two devices", device->slot);
			return -EINVAL;
		}
	}
	for (unsigned i = 0; i < config->device_count; i++) {
		if (config->devices[i].slot)
			continue;
		while (slot_taken(config, next, NULL))
			next++;
		config->devices[i].slot = next;
	}
	return 0;
}

/* A disk has a queue for each processor, which spares them a lock and gives each its own interrupt. */
static void settle_queues(struct run_config *config)
{
	const unsigned disk = config->cpus < DISK_QUEUES ? config->cpus : DISK_QUEUES;

	for (unsigned i = 0; i < config->device_count; i++) {
		struct device_config *device = &config->devices[i];

		/* What a back end has is not known yet, but one. */
		if (!device->queues)
			device->queues = device->kind == DEVICE_DISK && !device->socket ? disk : 1;
	}
}

/* The capability is of use to a guest whose IOMMU can invalidate device TLBs. */
static int check_ats(const struct run_config *config)
{
	for (unsigned i = 0; i < config->device_count; i++) {
		const struct device_config *device = &config->devices[i];

		if (!device->ats || (device->iommu && config->iommu.intel.device_iotlb))
			continue;
		vmm_log("--%s: ats=on needs %s", config_device_name(device->kind),
			device->iommu ? "--iommu intel,device-iotlb=on" : "iommu=on");
		return -EINVAL;
	}
	return 0;
}

static int settle_iommu(struct run_config *config, bool chosen)
{
	bool wanted = false;

	for (unsigned i = 0; i < config->device_count; i++)
		wanted |= config->devices[i].iommu;
	if (!chosen && wanted)
		config->iommu.kind = IOMMU_VIRTIO;
	if (wanted && config->iommu.kind == IOMMU_NONE) {
		vmm_log("iommu=on needs an IOMMU, but --iommu none was given");
		return -EINVAL;
	}
	return check_ats(config);
}

static int check_cpus(const struct run_config *config)
{
	if (config->cpus <= LAYOUT_XAPIC_VCPUS || config->iommu.eim)
		return 0;
	vmm_log("--cpus %u: more than %u need interrupt remapping with 32-bit APIC ids: --iommu "
		"intel,intremap=on,eim=on",
		config->cpus, LAYOUT_XAPIC_VCPUS);
	return -EINVAL;
}

static int settle(struct run_config *config, bool iommu_chosen)
{
	if (!config->kernel) {
		vmm_log("--kernel is missing (try: viommu run --help)");
		return -EINVAL;
	}
	if (!config->cmdline && !(config->cmdline = strdup("console=ttyS0")))
		return -ENOMEM;
	settle_queues(config);
	int err = check_cpus(config);

	if (!err)
		err = settle_slots(config);
	return err ? err : settle_iommu(config, iommu_chosen);
}

int config_parse(struct run_config *config, int argc, char **argv)
{
	enum { IOMMU_UNCHOSEN = -1 };

	*config = (struct run_config){.cpus = 1, .memory.size = DEFAULT_MEMORY};
	config->iommu.kind = (enum iommu_kind)IOMMU_UNCHOSEN;
	int err = parse_options(config, argc, argv);
	bool chosen = (int)config->iommu.kind != IOMMU_UNCHOSEN;

	if (!chosen)
		config->iommu.kind = IOMMU_NONE;
	if (!err && config->help)
		fputs(config_help, stdout);
	if (err || config->help)
		return err;
	return settle(config, chosen);
}

void config_fini(struct run_config *config)
{
	for (unsigned i = 0; i < config->device_count; i++) {
		free(config->devices[i].name);
		free(config->devices[i].socket);
	}
	for (unsigned i = 0; i < config->initrd_count; i++) {
		free(config->initrds[i].file);
		free(config->initrds[i].arguments);
	}
	free(config->kernel);
	free(config->cmdline);
	free(config->serial_path);
	free(config->memory.file);
	free(config->control);
}
