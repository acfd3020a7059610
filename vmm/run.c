/* SPDX-License-Identifier: BSD-2-Clause */
/* `viommu run`: one machine after the other until the guest powers off. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/boot/boot.h"
#include "vmm/check.h"
#include "vmm/config/config.h"
#include "vmm/control/control.h"
#include "vmm/device/serial_file.h"
#include "vmm/device/terminal.h"
#include "vmm/kvm/ram.h"
#include "vmm/machine.h"
#include "vmm/run.h"
#include "vmm/speed.h"
#include "vmm/util/log.h"
#include "vmm/util/signals.h"

enum { STATUS_OK = 0, STATUS_UNUSABLE = 2, STATUS_FAILED = 4 };

enum { AGAIN_MS = 1000 };

/* For the signal handler, which any thread may run, and several at once. */
static struct machine *_Atomic current;
static volatile sig_atomic_t caught;
static _Atomic int64_t caught_ms; /* when; 0: no signal has come */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

/*
 * The first one asks for an orderly end. Whatever hangs then, one that comes a second later ends us at once; what comes
 * earlier is the same wish again, as timeout(1) sends it to the process and to its group.
 */
static void on_signal(int number)
{
	struct machine *machine = atomic_load(&current);
	const int64_t now = now_ms();
	int64_t first = 0;

	if (!atomic_compare_exchange_strong(&caught_ms, &first, now)) {
		if (now - first < AGAIN_MS)
			return;
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	terminal_restore(); /* nobody would do it later, and Ctrl-C is a signal again */
	caught = number;
	if (machine)
		machine_interrupt(machine);
}

/* Die of the signal that ended us, so that the process that waits for us sees it. */
static void die_of_signal(void)
{
	signal(caught, SIG_DFL);
	raise(caught);
}

/* Linux does not get through its decompressor where KVM interprets; small payloads do. */
static int check_kvm(bool is_linux)
{
	char detail[128];
	const enum kvm_speed speed = is_linux ? kvm_measure_speed(detail, sizeof(detail))
				     : kvm_runs_guests(detail, sizeof(detail)) ? KVM_NATIVE
									       : KVM_ABSENT;

	switch (speed) {
	case KVM_NATIVE:
		return 0;
	case KVM_BUSY:
		vmm_log("/dev/kvm may be slow here (%s): the guest is started all the same", detail);
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

/* Its I/O is over, or the machine is left as it is: then its memory is no place for another. */
static bool clean_up(struct machine *machine)
{
	if (machine_drain(machine)) {
		machine_abandon(machine);
		return false;
	}
	machine_destroy(machine);
	return true;
}

static int reboot_status(const struct run_config *config, bool clean)
{
	if (config->no_reboot)
		return STATUS_OK;
	if (clean)
		return -1;
	vmm_log("the guest is not started again: its memory may still be written to");
	return STATUS_FAILED;
}

/* What lives as long as the program. */
struct host {
	struct control *control; /* or NULL */
	struct ram ram;
	struct serial_file serial;
};

/* One life of the guest. Returns the exit status, or -1: it reboots. */
static int run_once(const struct run_config *config, struct host *host, bool first)
{
	const struct machine_host lent = {&host->ram, host->control, host->serial.fd};
	struct machine *machine;
	uint32_t value;

	if (machine_create(config, &lent, &machine))
		return first ? STATUS_UNUSABLE : STATUS_FAILED;
	ram_keep(&host->ram);
	serial_file_keep(&host->serial);
	atomic_store(&current, machine);
	enum vm_end end = caught ? VM_END_NONE : machine_run(machine);

	atomic_store(&current, NULL);
	value = machine_exit_value(machine);
	bool clean = clean_up(machine);

	switch (end) {
	case VM_END_RESET:
		return reboot_status(config, clean);
	case VM_END_EXIT:
		return (int)((value << 1 | 1) & 0xff);
	case VM_END_ERROR:
		return STATUS_FAILED;
	default:
		return STATUS_OK;
	}
}

/* Everything that can be wrong is found here, the cheap things first, and before there is a VM. */
static int prepare(const struct run_config *config, struct host *host)
{
	const struct boot_config boot = {config->kernel, config->initrds, config->initrd_count, config->cmdline, 0};
	bool is_linux;
	int err = boot_check(&boot, &is_linux);

	if (!err)
		err = check_devices(config);
	if (!err && config->serial == SERIAL_FILE)
		err = serial_file_open(&host->serial, config->serial_path);
	if (!err && config->control)
		err = control_create(config, &host->control);
	if (!err)
		err = ram_init_config(&host->ram, &config->memory);
	return err ? err : check_kvm(is_linux);
}

static int run_to_end(const struct run_config *config, struct host *host)
{
	bool first = true;
	int status;

	if (config->serial == SERIAL_STDIO)
		terminal_raw();
	do {
		status = run_once(config, host, first);
		first = false;
	} while (status < 0 && !caught && !control_stopped(host->control));
	terminal_restore();
	return status < 0 ? STATUS_OK : status;
}

static int run(const struct run_config *config)
{
	struct host host = {.ram.fd = -1, .serial.fd = -1};
	int status = STATUS_UNUSABLE;

	signals_catch_end(on_signal);
	if (!prepare(config, &host))
		status = run_to_end(config, &host);
	ram_fini(&host.ram);
	serial_file_close(&host.serial);
	control_destroy(host.control); /* last: `viommu ctl stop` waits for it */
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
