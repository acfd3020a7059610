/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/acpi/acpi.h"
#include "vmm/boot/boot.h"
#include "vmm/config/config.h"
#include "vmm/control/control.h"
#include "vmm/control/history.h"
#include "vmm/device/device.h"
#include "vmm/devices.h"
#include "vmm/drain.h"
#include "vmm/irqchip/irqchip.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/ram.h"
#include "vmm/kvm/width.h"
#include "vmm/machine.h"
#include "vmm/pci/bus.h"
#include "vmm/pci/pci.h"
#include "vmm/registry/registry.h"
#include "vmm/util/bus.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/progress.h"
#include "vmm/wiring/quiesce.h"

struct machine {
	const struct run_config *config;
	struct ram *ram;
	struct control *control; /* or NULL */
	struct kvm kvm;
	struct bus *mmio, *pio;
	struct loop *loop;
	struct progress *progress;
	struct irqchip *irqchip;
	struct pci_root *pci;
	uint64_t pci64, pci64_size; /* the window for BARs of 64 bits; a size of 0: none */
	struct iommu_wiring *wiring;
	struct registry *registry;
	struct pci_dev **opened; /* by index in the configuration: devices that are on no bus yet; or NULL */
	struct quiesce *quiesce;
	struct serial *serial;
	struct power *power;
	struct pm_timer *pm_timer;
	struct exit_port *exit_port;
	struct vcpu_entry entry;
	struct vcpu_set *vcpus; /* while it runs */
	int serial_fd;          /* of a file, or -1; not ours */
	/*
	 * The first reason to stop, an enum vm_end, and above it the exit port's value. One word: the first one wins.
	 */
	_Atomic uint64_t end;
};

enum { END_VALUE_SHIFT = 32 };

static void end_with(struct machine *machine, uint64_t why)
{
	uint64_t none = VM_END_NONE;

	atomic_compare_exchange_strong(&machine->end, &none, why);
	loop_stop(machine->loop);
}

static void machine_end(void *opaque, enum vm_end why)
{
	end_with(opaque, why);
}

static void machine_exit(void *opaque, uint32_t value)
{
	end_with(opaque, VM_END_EXIT | (uint64_t)value << END_VALUE_SHIFT);
}

uint32_t machine_exit_value(const struct machine *machine)
{
	return (uint32_t)(atomic_load(&machine->end) >> END_VALUE_SHIFT);
}

void machine_interrupt(struct machine *machine)
{
	loop_stop(machine->loop);
}

/* For parts that leave it to us to say what went wrong. */
static int say(const char *what, int err)
{
	if (err)
		vmm_log("cannot make %s: %s", what, strerror(-err));
	return err;
}

/* The processors on which this thread and the vCPUs may run are more than there are vCPUs. */
static bool spare_processor(void *opaque)
{
	const struct machine *m = opaque;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return false;
	if (m->vcpus)
		vcpus_add_processors(m->vcpus, &set);
	return (unsigned)CPU_COUNT(&set) > m->config->cpus;
}

static int create_base(struct machine *m)
{
	int err = kvm_init(&m->kvm);

	if (err)
		return err;
	err = kvm_add_ram(&m->kvm, m->ram);
	if (!err)
		err = say("the memory bus", bus_create(&m->mmio));
	if (!err)
		err = say("the port bus", bus_create(&m->pio));
	if (!err)
		err = say("the list of devices", registry_create(&m->registry));
	if (!err)
		err = say("the event loop", loop_create(&m->loop));
	if (!err)
		loop_set_spare(m->loop, spare_processor, m);
	if (!err)
		err = say("the event loop", progress_create(m->loop, IOMMU_DEADLINE_MS, &m->progress));
	if (!err)
		err = say("the IOAPIC", irqchip_create(&m->kvm, m->mmio, &m->irqchip));
	return err;
}

/* Functions with an endpoint come after all that create_pci() makes. */
static void master_off(void *opaque, struct pci_dev *dev)
{
	const struct machine *m = opaque;

	quiesce_master_off(m->quiesce, dev);
}

/* Host bridge and virtio-iommu do not count: they do no DMA that could be translated, or have to do theirs past it. */
static bool has_others(const struct run_config *config)
{
	for (unsigned i = 0; i < config->device_count; i++)
		if (!config->devices[i].iommu)
			return true;
	return false;
}

static void machine_fault(void *opaque, const struct viommu_fault *fault)
{
	const struct machine *m = opaque;

	fault_history_add(control_faults(m->control), fault);
}

static void narrow_limits(const struct machine *m, struct iommu_machine *wired)
{
	for (unsigned i = 0; i < m->config->device_count; i++) {
		struct pci_dev *dev = m->opened[i];
		struct pci_limits own = {0};

		if (!m->config->devices[i].iommu || !dev->ops->narrow)
			continue;
		dev->ops->narrow(dev, &wired->limits);
		dev->ops->narrow(dev, &own);
		if (own.count > wired->most_ranges)
			wired->most_ranges = own.count;
	}
}

static int create_pci(struct machine *m)
{
	struct iommu_machine wired = {
		.kvm = &m->kvm,
		.ram = m->ram,
		.loop = m->loop,
		.mmio = m->mmio,
		.irqchip = m->irqchip,
		.registry = m->registry,
		.progress = m->progress,
		.fault = m->control ? machine_fault : NULL,
		.opaque = m,
		.others = has_others(m->config),
	};
	const int bits = kvm_address_bits(m->kvm.sys);

	if (bits < 0)
		return say("the PCI bus", bits);
	pci_window64(LAYOUT_HIGH_RAM + m->ram->high_size, (unsigned)bits, &m->pci64, &m->pci64_size);

	const struct pci_root_config root = {.mmio = m->mmio,
					     .pio = m->pio,
					     .irqchip = m->irqchip,
					     .bar64 = m->pci64,
					     .bar64_size = m->pci64_size,
					     .master_off = master_off,
					     .opaque = m,
					     .last_bus = LAYOUT_LAST_BUS};
	int err = say("the PCI bus", pci_root_create(&root, &m->pci));

	narrow_limits(m, &wired);

	if (!err)
		err = say("the IOMMU", iommu_wiring_create(&m->config->iommu, &wired, &m->wiring));
	if (!err)
		err = say("the IOMMU",
			  quiesce_create(iommu_wiring_context(m->wiring), m->progress, m->registry, &m->quiesce));
	return err;
}

static struct device_factory factory_of(struct machine *m)
{
	return (struct device_factory){
		.env = {.kvm = &m->kvm, .loop = m->loop},
		.iommu = m->config->iommu.kind,
		.wiring = m->wiring,
		.registry = m->registry,
		.bus = m->pci ? pci_root_bus(m->pci) : NULL,
	};
}

/* Before the IOMMU model is made: it has to know what devices of the host can do. */
static int open_devices(struct machine *m)
{
	const struct device_factory factory = factory_of(m);
	int err = 0;

	m->opened = calloc(m->config->device_count + 1, sizeof(*m->opened));
	if (!m->opened)
		return say("the devices", -ENOMEM);
	for (unsigned i = 0; i < m->config->device_count && !err; i++)
		err = device_open(&factory, &m->config->devices[i], &m->opened[i]);
	return err;
}

static int place_devices(struct machine *m)
{
	const struct device_factory factory = factory_of(m);
	int err = iommu_wiring_add_unit(m->wiring, &factory.env, factory.bus);

	for (unsigned i = 0; i < m->config->device_count && !err; i++) {
		struct pci_dev *dev = m->opened[i];

		m->opened[i] = NULL;
		err = device_place(&factory, &m->config->devices[i], dev);
	}
	return err ? err : say("the PCI devices", pci_firmware_setup(m->pci));
}

static int create_serial(struct machine *m)
{
	int in = -1, out = -1;

	if (m->config->serial == SERIAL_STDIO) {
		in = STDIN_FILENO;
		out = STDOUT_FILENO;
	} else if (m->config->serial == SERIAL_FILE) {
		out = m->serial_fd;
	}
	return serial_create(m->pio, m->irqchip, m->loop, in, out, &m->serial);
}

static int load(struct machine *m)
{
	struct acpi_config acpi = {
		.vcpus = m->config->cpus,
		.pci64 = m->pci64,
		.pci64_size = m->pci64_size,
	};
	struct boot_config boot = {m->config->kernel, m->config->initrds, m->config->initrd_count, m->config->cmdline,
				   0};

	int err = say("the ACPI tables", iommu_wiring_acpi(m->wiring, &acpi));

	if (!err)
		err = say("the ACPI tables (is there a MiB of memory?)", acpi_build(m->ram, &acpi, &boot.acpi_rsdp));

	return err ? err : boot_load(m->ram, &boot, &m->entry);
}

int machine_create(const struct run_config *config, const struct machine_host *host, struct machine **out)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->config = config;
	m->ram = host->ram;
	m->control = host->control;
	m->serial_fd = host->serial_fd;
	m->kvm.sys = m->kvm.vm = -1;
	int err = create_base(m);

	if (!err)
		err = open_devices(m);
	if (!err)
		err = create_pci(m);
	if (!err)
		err = create_serial(m);
	if (!err)
		err = power_create(m->pio, machine_end, m, &m->power);
	if (!err)
		err = pm_timer_create(m->pio, &m->pm_timer);
	if (!err)
		err = exit_port_create(m->pio, machine_exit, m, &m->exit_port);
	if (!err)
		err = place_devices(m);
	if (!err)
		err = load(m);
	if (err) {
		machine_destroy(m);
		return err;
	}
	*out = m;
	return 0;
}

/* In reverse order of creation; what was not made is NULL. */
void machine_destroy(struct machine *m)
{
	for (unsigned i = 0; m->opened && i < m->config->device_count; i++)
		if (m->opened[i])
			m->opened[i]->ops->destroy(m->opened[i]);
	free(m->opened);
	if (m->pci)
		pci_root_destroy(m->pci);
	quiesce_destroy(m->quiesce);
	if (m->wiring)
		iommu_wiring_destroy(m->wiring);
	progress_destroy(m->progress);
	registry_destroy(m->registry);
	if (m->exit_port)
		exit_port_destroy(m->exit_port);
	if (m->pm_timer)
		pm_timer_destroy(m->pm_timer);
	if (m->power)
		power_destroy(m->power);
	if (m->serial)
		serial_destroy(m->serial);
	if (m->irqchip)
		irqchip_destroy(m->irqchip);
	if (m->loop)
		loop_destroy(m->loop);
	if (m->pio)
		bus_destroy(m->pio);
	if (m->mmio)
		bus_destroy(m->mmio);
	kvm_fini(&m->kvm);
	free(m);
}

void machine_abandon(struct machine *m)
{
	serial_destroy(m->serial);
}

int machine_drain(struct machine *m)
{
	return drain_devices(m->registry);
}

static uint64_t exits(void *opaque)
{
	const struct machine *m = opaque;

	return vcpus_exits(m->vcpus);
}

static void interrupts(void *opaque, struct irq_stats *out)
{
	const struct machine *m = opaque;

	irqchip_stats(m->irqchip, out);
}

static bool vtd(void *opaque, struct viommu_vtd_stats *out)
{
	const struct machine *m = opaque;

	return iommu_wiring_vtd_stats(m->wiring, out);
}

static bool requests(void *opaque, struct request_stats *out)
{
	const struct machine *m = opaque;

	return iommu_wiring_requests(m->wiring, out);
}

static void machine_eoi(void *opaque, uint8_t vector)
{
	const struct machine *m = opaque;

	irq_eoi(m->irqchip, vector);
}

static void machine_entering(void *opaque)
{
	const struct machine *m = opaque;

	iommu_wiring_entering(m->wiring);
}

enum vm_end machine_run(struct machine *m)
{
	const struct vcpu_config config = {
		.kvm = &m->kvm,
		.mmio = m->mmio,
		.pio = m->pio,
		.count = m->config->cpus,
		.entry = m->entry,
		.stopped = machine_end,
		.eoi = machine_eoi,
		.entering = machine_entering,
		.opaque = m,
	};
	const struct control_machine seen = {
		.loop = m->loop,
		.v = iommu_wiring_context(m->wiring),
		.exits = exits,
		.interrupts = interrupts,
		.vtd = vtd,
		.requests = requests,
		.opaque = m,
		.registry = m->registry,
	};

	if (vcpus_start(&config, &m->vcpus))
		return VM_END_ERROR;
	int err = control_attach(m->control, &seen);

	if (!err)
		err = iommu_wiring_guest_begins(m->wiring);
	if (!err)
		err = loop_run(m->loop);
	iommu_wiring_guest_ends(m->wiring);
	control_detach(m->control);
	vcpus_stop(m->vcpus);
	m->vcpus = NULL;
	if (err)
		vmm_log("event loop: %s", strerror(-err));
	return err ? VM_END_ERROR : (enum vm_end)(uint32_t)atomic_load(&m->end);
}
