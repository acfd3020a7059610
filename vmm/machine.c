/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
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
#include "vmm/drain.h"
#include "vmm/irqchip/irqchip.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/ram.h"
#include "vmm/kvm/width.h"
#include "vmm/machine.h"
#include "vmm/pci/pci.h"
#include "vmm/util/bus.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"
#include "vmm/vhost/vhost.h"
#include "vmm/vhost_user/vhost_user.h"
#include "vmm/virtio/virtio.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/quiesce.h"

struct machine {
	const struct run_config *config;
	struct ram *ram;
	struct control *control; /* or NULL */
	struct kvm kvm;
	struct bus *mmio, *pio;
	struct loop *loop;
	struct irqchip *irqchip;
	struct pci_root *pci;
	uint64_t pci64, pci64_size; /* the window for BARs of 64 bits; a size of 0: none */
	struct iommu_wiring *wiring;
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
		err = say("the event loop", loop_create(&m->loop));
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

static int create_pci(struct machine *m)
{
	const struct iommu_machine wired = {
		.ram = m->ram,
		.loop = m->loop,
		.mmio = m->mmio,
		.irqchip = m->irqchip,
		.fault = m->control ? machine_fault : NULL,
		.opaque = m,
		.others = has_others(m->config),
	};
	const int bits = kvm_address_bits(m->kvm.sys);

	if (bits < 0)
		return say("the PCI bus", bits);
	pci_window64(LAYOUT_HIGH_RAM + m->ram->high_size, (unsigned)bits, &m->pci64, &m->pci64_size);

	const struct pci_root_config root = {m->mmio, m->pio, m->irqchip, m->pci64, m->pci64_size, master_off, m};
	int err = say("the PCI bus", pci_root_create(&root, &m->pci));

	if (!err)
		err = say("the IOMMU", iommu_wiring_create(&m->config->iommu, &wired, &m->wiring));
	if (!err)
		err = say("the IOMMU", quiesce_create(iommu_wiring_context(m->wiring), m->loop, &m->quiesce));
	return err;
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

/* Like QEMU's, but each slot has its own. */
static void default_mac(unsigned slot, uint8_t mac[6])
{
	const uint8_t value[6] = {0x52, 0x54, 0x00, 0x76, 0x69, (uint8_t)slot};

	memcpy(mac, value, sizeof(value));
}

static struct vhost_user_config back_end_of(const struct machine *m, const struct device_config *config)
{
	return (struct vhost_user_config){
		.socket = config->socket,
		.iommu = config->iommu,
		.queues = config->queues,
		.isolate = config->isolate,
		.messages = !config->shared,
		.push_maps = m->config->iommu.kind == IOMMU_VIRTIO,
	};
}

/* A guest that tells of its maps spares the kernel most of its questions. */
static int create_net(const struct machine *m, const struct device_config *config, const struct virtio_env *env,
		      struct pci_dev **out)
{
	const struct vhost_user_config back_end = back_end_of(m, config);
	struct vhost_net_config vhost = {.tap = config->name, .queues = config->queues};

	default_mac(config->slot, vhost.mac);
	if (config->has_mac)
		memcpy(vhost.mac, config->mac, sizeof(vhost.mac));
	if (config->socket)
		return vhost_user_net_create(env, &back_end, vhost.mac, out);
	if (!config->vhost)
		return virtio_net_create(env, config->name, config->queues, vhost.mac, out);
	vhost.push_maps = m->config->iommu.kind == IOMMU_VIRTIO;
	return vhost_net_create(env, &vhost, out);
}

static int create_disk(const struct machine *m, const struct device_config *config, const struct virtio_env *env,
		       struct pci_dev **out)
{
	const struct vhost_user_config back_end = back_end_of(m, config);
	const struct virtio_disk_config disk = {config->name, config->readonly, config->queues};

	return config->socket ? vhost_user_blk_create(env, &back_end, out) : virtio_blk_create(env, &disk, out);
}

static int create_device(const struct machine *m, const struct device_config *config, const struct virtio_env *env,
			 struct pci_dev **out)
{
	switch (config->kind) {
	case DEVICE_DISK:
		return create_disk(m, config, env, out);
	case DEVICE_NET:
		return create_net(m, config, env, out);
	case DEVICE_RNG:
		return virtio_rng_create(env, out);
	case DEVICE_EDU:
		return edu_create(env->loop, out);
	}
	return -EINVAL;
}

static int add_device(struct machine *m, const struct device_config *config, const struct virtio_env *env)
{
	struct pci_dev *dev;
	int err = create_device(m, config, env, &dev);

	if (err)
		return err;
	if (config->ats)
		pci_add_ats(dev);
	err = iommu_wiring_add_device(m->wiring, m->pci, dev, config->slot, config->iommu);
	if (err) {
		vmm_log("device %02x.0: %s", config->slot, strerror(-err));
		dev->ops->destroy(dev);
		return err;
	}
	return dev->ops->placed ? dev->ops->placed(dev) : 0;
}

static int create_devices(struct machine *m)
{
	const struct virtio_env env = {&m->kvm, m->loop, iommu_wiring_hold_released, m->wiring};
	int err = 0;

	if (m->config->iommu.kind == IOMMU_VIRTIO)
		err = iommu_wiring_add_unit(m->wiring, &env, m->pci);
	for (unsigned i = 0; i < m->config->device_count && !err; i++)
		err = add_device(m, &m->config->devices[i], &env);
	return err ? err : say("the PCI devices", pci_firmware_setup(m->pci));
}

static int load(struct machine *m)
{
	const struct iommu_config *iommu = &m->config->iommu;
	struct acpi_config acpi = {
		.vcpus = m->config->cpus,
		.pci64 = m->pci64,
		.pci64_size = m->pci64_size,
		.virtio_iommu_bdf = iommu->kind == IOMMU_VIRTIO ? IOMMU_SLOT << 3 : -1,
		.dmar = {iommu->kind == IOMMU_INTEL, iommu->intremap, iommu->eim, iommu->intel.device_iotlb,
			 has_others(m->config)},
	};
	struct boot_config boot = {m->config->kernel, m->config->initrds, m->config->initrd_count, m->config->cmdline,
				   0};

	acpi.endpoint_count = iommu_wiring_endpoints(m->wiring, &acpi.endpoints);
	int err = say("the ACPI tables (is there a MiB of memory?)", acpi_build(m->ram, &acpi, &boot.acpi_rsdp));

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
		err = create_devices(m);
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
	if (m->pci)
		pci_root_destroy(m->pci);
	quiesce_destroy(m->quiesce);
	if (m->wiring)
		iommu_wiring_destroy(m->wiring);
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
	return drain_devices(m->pci);
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

static bool iotlb(void *opaque, unsigned slot, struct pci_iotlb_stats *out)
{
	const struct machine *m = opaque;

	return pci_root_iotlb_stats(m->pci, slot, out);
}

static void machine_eoi(void *opaque, uint8_t vector)
{
	const struct machine *m = opaque;

	irq_eoi(m->irqchip, vector);
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
		.opaque = m,
	};
	const struct control_machine seen = {m->loop, iommu_wiring_context(m->wiring), exits, interrupts, vtd, iotlb,
					     m};

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
	if (err)
		vmm_log("event loop: %s", strerror(-err));
	return err ? VM_END_ERROR : (enum vm_end)(uint32_t)atomic_load(&m->end);
}
