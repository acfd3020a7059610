/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu run`: one machine after the other until the guest powers off. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "vmm/config/config.h"
#include "vmm/device/terminal.h"
#include "vmm/kvm/ram.h"
#include "vmm/kvm/speed.h"
#include "vmm/machine.h"
#include "vmm/run.h"
#include "vmm/util/log.h"

enum { STATUS_OK = 0, STATUS_UNUSABLE = 2, STATUS_FAILED = 4 };

/* For the signal handler. */
static struct machine *_Atomic current;
static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	struct machine *machine = atomic_load(&current);

	caught = number;
	if (machine)
		machine_interrupt(machine);
}

static void catch_signals(void)
{
	const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Die of the signal that ended us, so that whoever waits for us sees it. */
static void die_of_signal(void)
{
	signal(caught, SIG_DFL);
	raise(caught);
}

/* Linux does not get through its decompressor where KVM interprets. */
static int check_kvm(void)
{
	char detail[128];

	switch (kvm_measure_speed(detail, sizeof(detail))) {
	case KVM_NATIVE:
		return 0;
	case KVM_SLOW:
		vmm_log("/dev/kvm only emulates here (%s): Linux cannot boot on it; run this inside the lab: "
			"lab/run -- viommu run ...",
			detail);
		return -ENODEV;
	case KVM_ABSENT:
		vmm_log("/dev/kvm cannot be used: %s (see: viommu doctor)", detail);
		return -ENODEV;
	}
	return -ENODEV;
}

/* One life of the guest. Returns the exit status, or -1: it reboots. */
static int run_once(const struct run_config *config, struct ram *ram)
{
	struct machine *machine;

	if (machine_create(config, ram, &machine))
		return STATUS_UNUSABLE;
	atomic_store(&current, machine);
	enum vm_end end = caught ? VM_END_NONE : machine_run(machine);

	atomic_store(&current, NULL);
	machine_destroy(machine);
	switch (end) {
	case VM_END_RESET:
		return config->no_reboot ? STATUS_OK : -1;
	case VM_END_ERROR:
		return STATUS_FAILED;
	default:
		return STATUS_OK;
	}
}

static int run(const struct run_config *config)
{
	struct ram ram;
	int status, err = check_kvm();

	if (!err)
		err = ram_init(&ram, config->memory_size);
	if (err)
		return STATUS_UNUSABLE;
	catch_signals();
	if (config->serial == SERIAL_STDIO)
		terminal_raw();
	do
		status = run_once(config, &ram);
	while (status < 0 && !caught);
	terminal_restore();
	ram_fini(&ram);
	if (caught)
		die_of_signal();
	return status;
}

int run_main(int argc, char **argv)
{
	struct run_config config;
	int err = config_parse(&config, argc, argv);
	int status = err ? STATUS_UNUSABLE : STATUS_OK;

	if (!err && !config.help)
		status = run(&config);
	config_fini(&config);
	return status;
}
