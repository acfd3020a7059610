/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines of `viommu run`, a word a line. One that is accepted describes a machine that can be: numbers within
 * their bounds, slots of their own, ranges that do not meet; and gives the same machine again. One that is not costs
 * one line.
 */
#include <errno.h>

#include "fuzz/fuzz.h"
#include "fuzz/quiet.h"
#include "vmm/config/config.h"

enum { WORDS_MAX = 64, SMALLEST_GRANULE = 4096 };

/* The words, and behind them their text. argv[0] is the command. */
struct line {
	int argc;
	char *argv[WORDS_MAX + 1];
	char *text;
};

/* What command lines are made of: options, keys and values, some of which are wrong. */
static const char *const fragments[] = {
	"--disk\n",
	"path=d",
	"vhost-user=s",
	"--net\n",
	"tap=t",
	"--rng\n",
	"--test-device\n",
	"edu",
	",iommu=on",
	",iommu=off",
	",ats=on",
	",addr=3",
	",addr=4",
	",addr=1",
	",queues=2",
	",queues=9",
	",readonly=on",
	",isolate=on",
	",shared=off",
	",vhost=on",
	",mac=52:54:00:00:00:01",
	",path=d",
	",vhost-user=s",
	",tap=t",
	"--iommu\nnone",
	"--iommu\nvirtio",
	"--iommu\nintel",
	",bypass=on",
	",bypass=legacy",
	",bypass=maybe",
	",input-bits=40",
	",input-bits=57",
	",granule=64K",
	",granule=3K",
	",resv=0x1000-0x1fff",
	",resv=0x1000-0x2fff",
	",resv=0xfee00000-0xfee00fff",
	",page-size-mask=0xfffffffffffff000",
	",aw-bits=57",
	",aw-bits=40",
	",intremap=off",
	",eim=on",
	",eim=off",
	",eim=maybe",
	",caching-mode=on",
	",device-iotlb=on",
	",scalable=on",
	"--cpus\n300",
	"--cpus\n2",
	"--memory\nsize=1G",
	"--memory\nsize=3M",
	",hugepages=on",
	",hugepage-size=1G",
	",hugepage-size=4K",
	",file=f",
	"--serial\nnone",
	"--serial\nfile=f",
	"--initrd\ni",
	",one",
	"--cmdline\nc",
	"--control\ns",
	"--no-reboot",
	"--help",
	"word",
};

enum { FRAGMENTS = sizeof(fragments) / sizeof(fragments[0]), FRAGMENT_MAX = 48 };

/* Bit 0 of the first byte: each byte is a fragment, and what has bit 7 ends a word; else the text itself. */
static char *draw_text(const uint8_t *bytes, size_t size)
{
	char *text = calloc(1, size * FRAGMENT_MAX + 16), *at = text;

	if (size && bytes[0] & 2)
		at = stpcpy(at, "--kernel\nk\n");
	if (size && !(bytes[0] & 1)) {
		memcpy(at, bytes + 1, size - 1);
		return text;
	}
	for (size_t i = 1; i < size; i++) {
		at = stpcpy(at, fragments[(bytes[i] & 0x7f) % FRAGMENTS]);
		if (bytes[i] & 0x80)
			*at++ = '\n';
	}
	return text;
}

static void read_line(struct line *line, const uint8_t *bytes, size_t size)
{
	char *rest = line->text = draw_text(bytes, size);

	line->argc = 0;
	line->argv[line->argc++] = "run";
	while (rest && *rest && line->argc < WORDS_MAX)
		line->argv[line->argc++] = strsep(&rest, "\n");
	line->argv[line->argc] = NULL;
}

static void check_iommu(const struct iommu_config *iommu)
{
	const struct key_range msi = iommu_config_msi(iommu);
	const struct key_ranges *resv = &iommu->resv;
	const unsigned aw = iommu->intel.aw_bits;

	if (iommu->kind == IOMMU_INTEL) {
		CHECK(aw == 39 || aw == 48 || aw == 57, "aw-bits %u", aw);
		CHECK(!iommu->input_bits || (iommu->input_bits >= 32 && iommu->input_bits <= aw), "%u",
		      iommu->input_bits);
		CHECK(!iommu->eim || iommu->intremap, "eim without intremap");
	}
	if (iommu->kind != IOMMU_VIRTIO)
		return;
	CHECK(!iommu->bypass || !iommu->legacy_bypass, "both kinds of bypass");
	CHECK(!iommu->input_bits || (iommu->input_bits >= 32 && iommu->input_bits <= 64), "%u", iommu->input_bits);
	CHECK(!(iommu->page_size_mask & (SMALLEST_GRANULE - 1)), "page sizes 0x%llx",
	      (unsigned long long)iommu->page_size_mask);
	for (unsigned i = 0; i < resv->count; i++) {
		const struct key_range *range = &resv->range[i];

		CHECK(range->first <= range->last && !(range->first % SMALLEST_GRANULE) &&
			      !((range->last + 1) % SMALLEST_GRANULE),
		      "range %u", i);
		CHECK(range->last < msi.first || range->first > msi.last, "range %u has the MSI window", i);
		for (unsigned j = 0; j < i; j++)
			CHECK(range->last < resv->range[j].first || range->first > resv->range[j].last,
			      "ranges %u and %u", j, i);
	}
}

static void check_device(const struct run_config *config, const struct device_config *device)
{
	const bool has_server = device->kind == DEVICE_DISK || device->kind == DEVICE_NET;

	CHECK(device->slot >= RUN_FIRST_SLOT && device->slot < LAYOUT_BUS_DEVICES, "slot %u", device->slot);
	for (const struct device_config *other = config->devices; other < device; other++)
		CHECK(other->slot != device->slot, "two in slot %u", device->slot);
	CHECK(!has_server || !device->name != !device->socket, "served by none, or by two");
	CHECK(device->queues >= 1 && device->queues <= 8, "%u queues", device->queues);
	CHECK(!device->isolate || device->socket, "isolated from nobody");
	CHECK(!device->vhost || device->name, "vhost without tap");
	CHECK(!device->iommu || config->iommu.kind != IOMMU_NONE, "behind no IOMMU");
	CHECK(!device->ats || (device->iommu && config->iommu.intel.device_iotlb), "ATS without device IOTLBs");
	CHECK(!(device->mac[0] & 1), "%02x", device->mac[0]);
	CHECK(config_device_name(device->kind), "kind %d", device->kind);
}

static void check_machine(const struct run_config *config)
{
	CHECK(config->kernel && config->cmdline, "no kernel");
	CHECK(config->cpus >= 1 && config->cpus <= LAYOUT_MAX_VCPUS, "%u processors", config->cpus);
	CHECK(config->cpus <= LAYOUT_XAPIC_VCPUS || config->iommu.eim, "%u processors", config->cpus);
	CHECK(config->memory.size && !(config->memory.size % 4096), "memory");
	CHECK(!config->memory.hugepage_size || config->memory.hugepages, "huge pages");
	CHECK(config->initrd_count <= BOOT_INITRDS_MAX && config->device_count <= RUN_DEVICES_MAX, "too many");
	CHECK(config->serial != SERIAL_FILE || config->serial_path, "no file");
	for (unsigned i = 0; i < config->initrd_count; i++)
		CHECK(config->initrds[i].file && *config->initrds[i].file, "initrd %u", i);
	for (unsigned i = 0; i < config->device_count; i++)
		check_device(config, &config->devices[i]);
	check_iommu(&config->iommu);
}

static int parse(struct run_config *config, struct line *line)
{
	const unsigned lines = quiet_lines;
	const int err = config_parse(config, line->argc, line->argv);

	CHECK(!err || err == -EINVAL || err == -E2BIG, "error %d", err);
	CHECK(quiet_lines - lines == (err ? 1 : 0), "%u lines, error %d", quiet_lines - lines, err);
	if (!err && !config->help)
		check_machine(config);
	return err;
}

/* But for where texts lie. */
static void check_equal(const struct run_config *one, const struct run_config *other)
{
	CHECK(one->cpus == other->cpus && one->memory.size == other->memory.size, "processors, memory");
	CHECK(!memcmp(&one->iommu, &other->iommu, sizeof(one->iommu)), "IOMMU");
	CHECK(one->device_count == other->device_count && one->initrd_count == other->initrd_count, "devices");
	for (unsigned i = 0; i < one->device_count; i++)
		CHECK(one->devices[i].kind == other->devices[i].kind &&
			      one->devices[i].slot == other->devices[i].slot &&
			      one->devices[i].queues == other->devices[i].queues &&
			      one->devices[i].iommu == other->devices[i].iommu,
		      "device %u", i);
}

/* What `--help` prints is thrown away. */
static void silence(void)
{
	static FILE *nowhere;

	if (!nowhere)
		stdout = nowhere = fopen("/dev/null", "w");
	CHECK(nowhere, "no /dev/null");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct run_config once, twice;
	struct line line, again;

	silence();
	read_line(&line, bytes, size);
	read_line(&again, bytes, size);
	const int err = parse(&once, &line);

	CHECK(parse(&twice, &again) == err, "the same words again");
	if (!err)
		check_equal(&once, &twice);
	config_fini(&once);
	config_fini(&twice);
	free(line.text);
	free(again.text);
	return 0;
}
