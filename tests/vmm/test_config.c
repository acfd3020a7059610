/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines: VT-d units, numbers, and what may be given how often. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "vmm/config/config.h"

enum { ARGUMENTS = 16 };

/* `line` has words, each after one space. */
static int parse(struct run_config *config, const char *line)
{
	static char words[512];
	char *argv[ARGUMENTS] = {"run", "--kernel", "kernel"}, *rest = words;
	int argc = 3;

	assert_true(strlen(line) < sizeof(words));
	memcpy(words, line, strlen(line) + 1);
	for (char *word; (word = strsep(&rest, " "));)
		if (*word)
			argv[argc++] = word;
	return config_parse(config, argc, argv);
}

static void test_intel_has_its_defaults(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--iommu intel --test-device edu,iommu=on"), 0);
	assert_int_equal(config.iommu.kind, IOMMU_INTEL);
	assert_int_equal(config.iommu.intel.aw_bits, 48);
	assert_int_equal(config.iommu.input_bits, 0);
	assert_true(config.iommu.intremap && config.iommu.eim);
	assert_false(config.iommu.intel.caching_mode || config.iommu.intel.device_iotlb || config.iommu.intel.scalable);
	assert_false(config.devices[0].ats);
	config_fini(&config);
}

static void test_indirect_is_for_disks_and_cards(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--disk path=a,iommu=on --disk path=b,indirect=on --net tap=c,indirect=on"), 0);
	assert_false(config.devices[0].indirect);
	assert_true(config.devices[1].indirect && config.devices[2].indirect);
	config_fini(&config);
	assert_int_equal(parse(&config, "--rng indirect=on"), -EINVAL);
	config_fini(&config);
}

static void test_intel_takes_its_keys(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--iommu intel,aw-bits=57,input-bits=52,intremap=on,eim=off,caching-mode=on,"
					"device-iotlb=on,scalable=on --test-device edu,iommu=on,ats=on"),
			 0);
	assert_int_equal(config.iommu.intel.aw_bits, 57);
	assert_int_equal(config.iommu.input_bits, 52);
	assert_true(config.iommu.intremap && !config.iommu.eim);
	assert_true(config.iommu.intel.caching_mode && config.iommu.intel.device_iotlb && config.iommu.intel.scalable);
	assert_true(config.devices[0].ats);
	config_fini(&config);
}

static void test_eim_follows_intremap(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--iommu intel,intremap=off"), 0);
	assert_false(config.iommu.intremap || config.iommu.eim);
	config_fini(&config);
	assert_int_equal(parse(&config, "--cpus 300 --iommu intel"), 0);
	config_fini(&config);
}

static void test_devices_take_modes_of_polling(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--disk path=disk --disk path=disk,poll=off --net tap=tap,poll=always,vhost=on "
					"--net vhost-user=socket,poll=auto --iommu virtio,poll=off"),
			 0);
	assert_int_equal(config.devices[0].poll, POLLING_AUTO);
	assert_int_equal(config.devices[1].poll, POLLING_OFF);
	assert_int_equal(config.devices[2].poll, POLLING_ALWAYS);
	assert_int_equal(config.devices[3].poll, POLLING_AUTO);
	assert_int_equal(config.iommu.poll, POLLING_OFF);
	config_fini(&config);
}

/* The first comma ends the file's name; the rest is for the kernel. */
static void test_initrds_keep_their_order_and_arguments(void **state)
{
	struct run_config config;

	(void)state;
	assert_int_equal(parse(&config, "--initrd one --initrd two,a=b,c --initrd one"), 0);
	assert_int_equal(config.initrd_count, 3);
	assert_string_equal(config.initrds[0].file, "one");
	assert_null(config.initrds[0].arguments);
	assert_string_equal(config.initrds[1].file, "two");
	assert_string_equal(config.initrds[1].arguments, "a=b,c");
	assert_string_equal(config.initrds[2].file, "one");
	config_fini(&config);
}

static void test_what_does_not_fit_is_refused(void **state)
{
	static const char *const lines[] = {
		"--iommu intel,aw-bits=40",
		"--iommu intel,aw-bits=64",
		"--iommu intel,aw-bits=39,input-bits=40",
		"--iommu intel,input-bits=31",
		"--iommu intel,intremap=off,eim=on",
		"--iommu intel,eim=maybe",
		"--iommu intel,granule=4K",
		"--iommu intel,aw-bits=48,aw-bits=48",
		"--iommu virtio,intremap=on",
		"--iommu virtio,aw-bits=48",
		"--iommu intelligent",
		"--cpus 300 --iommu intel,eim=off",
		"--iommu intel --test-device edu,iommu=on,ats=on",
		"--iommu intel,device-iotlb=on --test-device edu,ats=on",
		"--iommu intel,device-iotlb=on --test-device edu,iommu=on,ats=maybe",
		"--iommu virtio --test-device edu,iommu=on,ats=on",
		"--test-device edu,iommu=on,ats=on",
		"--test-device edu,ats=on",
		"--initrd one,",
		"--initrd ,two",
	};
	struct run_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(&config, lines[i]), -EINVAL);
		config_fini(&config);
	}
}

static void test_numbers_are_decimal(void **state)
{
	static const char *const wrong[] = {
		"--cpus 010",
		"--cpus 0x10",
		"--cpus +1",
		"--cpus -1",
		"--cpus 1k",
		"--cpus 4294967297",
		"--cpus 0",
		"--memory size=010M",
		"--memory size=+1M",
		"--memory size=0x10M",
		"--test-device edu,addr=011",
		"--test-device edu,addr=0x10",
		"--test-device edu,addr=+5",
		"--iommu virtio,page-size-mask=010000",
		"--iommu virtio,resv=010000-020000",
		"--net tap=a,mac=-2:54:00:00:00:01",
		"--net tap=a,mac=2:54:0:0:0:1",
		"--net tap=a,mac=00:00:00:00:00:00",
	};
	struct run_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(&config, wrong[i]), -EINVAL);
		config_fini(&config);
	}
	assert_int_equal(parse(&config,
			       "--cpus 10 --memory size=10M --test-device edu,addr=11 --net "
			       "tap=a,mac=0a:54:00:0F:00:01 --iommu virtio,page-size-mask=0x10000,resv=0-65535,"
			       "resv=0x20000-0x2ffff"),
			 0);
	assert_int_equal(config.cpus, 10);
	assert_int_equal(config.memory.size, 10 << 20);
	assert_int_equal(config.devices[0].slot, 11);
	assert_memory_equal(config.devices[1].mac, "\x0a\x54\x00\x0f\x00\x01", 6);
	assert_int_equal(config.iommu.page_size_mask, 0x10000);
	assert_int_equal(config.iommu.resv.range[0].last, 65535);
	assert_int_equal(config.iommu.resv.range[1].first, 0x20000);
	config_fini(&config);
}

/* But devices, which are as many as were asked for; and a command line may be empty. */
static void test_options_are_given_once(void **state)
{
	static const char *const wrong[] = {
		"--kernel other",
		"--cpus 1 --cpus 1",
		"--iommu virtio --iommu intel",
		"--serial none --serial=stdio",
		"--no-reboot --no-reboot",
		"--cmdline a --cmdline b",
	};
	struct run_config config;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(&config, wrong[i]), -EINVAL);
		config_fini(&config);
	}
	assert_int_equal(
		parse(&config, "--disk path=a --disk=path=b --rng --rng iommu=on --rng=addr=9 --rng --cmdline="), 0);
	assert_int_equal(config.device_count, 6);
	assert_int_equal(config.devices[4].slot, 9);
	assert_string_equal(config.cmdline, "");
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intel_has_its_defaults),
		cmocka_unit_test(test_indirect_is_for_disks_and_cards),
		cmocka_unit_test(test_intel_takes_its_keys),
		cmocka_unit_test(test_eim_follows_intremap),
		cmocka_unit_test(test_devices_take_modes_of_polling),
		cmocka_unit_test(test_initrds_keep_their_order_and_arguments),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_numbers_are_decimal),
		cmocka_unit_test(test_options_are_given_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
