/* SPDX-License-Identifier: BSD-2-Clause */
/* What `viommu run` was asked for. */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config/initrd.h"
#include "vmm/config/iommu.h"
#include "vmm/config/memory.h"
#include "vmm/layout/layout.h"

enum device_kind { DEVICE_DISK, DEVICE_NET, DEVICE_RNG, DEVICE_EDU };

struct device_config {
	enum device_kind kind;
	char *name;   /* disk: file; net: tap; test device: its name; else NULL */
	char *socket; /* disk and net, in place of a name: where a vhost-user back end listens */
	bool isolate; /* the back end gets no guest memory */
	bool shared;  /* and reads translations without a message, if it knows how to */
	uint8_t mac[6];
	bool has_mac;
	bool iommu;             /* behind the virtual IOMMU */
	unsigned slot;          /* 0: not chosen yet */
	unsigned queues;        /* net: queue pairs; disk: queues; 0: not chosen yet */
	bool readonly;          /* disk */
	bool vhost;             /* net: the kernel moves the frames */
	bool indirect;          /* disk and net: with indirect tables behind the IOMMU, too */
	bool ats;               /* with the ATS capability */
	enum polling_mode poll; /* disk and net: of its queues, by whoever serves them on this host */
};

/* Each has a device number of the root bus, whose first two are the machine's. */
enum { RUN_FIRST_SLOT = 2, RUN_DEVICES_MAX = LAYOUT_BUS_DEVICES - RUN_FIRST_SLOT };

enum serial_kind { SERIAL_STDIO, SERIAL_FILE, SERIAL_NONE };

struct run_config {
	char *kernel, *cmdline;
	struct boot_initrd initrds[BOOT_INITRDS_MAX];
	unsigned initrd_count;
	unsigned cpus;
	struct ram_config memory;
	struct iommu_config iommu;
	struct device_config devices[RUN_DEVICES_MAX];
	unsigned device_count;
	enum serial_kind serial;
	char *serial_path;
	char *control; /* path of the control socket, or NULL */
	bool no_reboot;
	bool help; /* help was asked for and printed: nothing is to be run */
};

/*
 * Parse the arguments of `viommu run` (argv[0] is "run") and settle what was left open. -EINVAL after one line on
 * stderr that says what is wrong. The caller frees with config_fini(), also on error.
 */
int config_parse(struct run_config *config, int argc, char **argv);
void config_fini(struct run_config *config);

/* "disk", "virtio" and the like, as on the command line. */
const char *config_device_name(enum device_kind kind);

/* The text of `viommu run --help`. */
extern const char config_help[];

#endif
