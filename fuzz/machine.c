/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/machine.h"

#include <linux/pci.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/layout/layout.h"
#include "vmm/pci/bus.h"
#include "vmm/registry/registry.h"
#include "vmm/util/loop.h"
#include "vmm/virtio/blk.h"
#include "vmm/wiring/iommu.h"
#include "vmm/wiring/progress.h"

enum { TURNS = 24, PATIENCE_MS = 10000, FAR_MS = 10000000, IOEVENTFDS = 32, PLAYED_SLOT = 9 };

static const unsigned slots[] = {IOMMU_SLOT, 3, 4, 5}, first_rings[] = {0, 2, 2 + DISK_QUEUES, 3 + DISK_QUEUES};
static uint64_t now_ms;
static struct machine *machine_now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){(time_t)(now_ms / 1000), (long)(now_ms % 1000) * 1000000};
	return 0;
}

/* KVM's ioeventfds, in its place: each is taken away where it was put. */
static struct {
	uint64_t address;
	int fd;
} ioeventfds[IOEVENTFDS];

int kvm_ioeventfd(struct kvm *any, uint64_t address, unsigned len, int fd, bool add)
{
	(void)any, (void)len;
	for (unsigned i = 0; i < IOEVENTFDS; i++) {
		if (add && !ioeventfds[i].address) {
			ioeventfds[i].address = address;
			ioeventfds[i].fd = fd;
			return 0;
		}
		if (!add && ioeventfds[i].address == address && ioeventfds[i].fd == fd) {
			ioeventfds[i].address = 0;
			return 0;
		}
	}
	CHECK(add, "an ioeventfd that there is not, at 0x%llx", (unsigned long long)address);
	return -1;
}

static void note_message(const struct msi_message *message)
{
	machine_now->messages[message->data % MESSAGES]++;
}

/* The isolated device; its back end is played by the target. */

static struct machine *machine_of(struct virtio_dev *dev)
{
	CHECK(dev == machine_now->isolated, "another device");
	return machine_now;
}

void machine_new_back_end(struct machine *machine)
{
	machine->back_end.honest = true;
	machine->back_end.broken = false;
	machine->back_end.seen = machine->back_end.used = 0;
}

static void isolated_start(struct virtio_dev *dev)
{
	isolation_started(machine_of(dev)->isolation);
}

static void isolated_kick(struct virtio_dev *dev, unsigned queue)
{
	isolation_kick(machine_of(dev)->isolation, queue);
}

static void isolated_reset(struct virtio_dev *dev)
{
	isolation_reset(machine_of(dev)->isolation);
	machine_new_back_end(machine_of(dev));
	virtio_reset_done(dev);
}

static void isolated_broken(struct virtio_dev *dev)
{
	machine_of(dev)->back_end.broken = true;
	virtio_fail(dev, "its back end broke the rules of a queue");
}

static void isolated_destroy(struct virtio_dev *dev)
{
	struct machine *machine = machine_of(dev);

	isolation_destroy(machine->isolation);
	virtio_fini(dev);
	free(dev);
}

static const struct virtio_ops isolated_ops = {
	.device_id = 63,
	.queue_size = BAR_QUEUE_SIZE,
	.start = isolated_start,
	.kick = isolated_kick,
	.reset = isolated_reset,
	.destroy = isolated_destroy,
};

static void create_isolated(struct machine *machine, struct tape *tape, const struct virtio_env *env,
			    struct pci_dev **out)
{
	const uint8_t kind = tape_u8(tape);
	const struct shadow_config config = {kind & 1, kind & 2, kind & 4 ? VIRTIO_BLK_S_IOERR : -1};

	machine->isolated = calloc(1, sizeof(*machine->isolated));
	CHECK(!virtio_init(machine->isolated, &isolated_ops, 1, env), "no isolated device");
	CHECK(!isolation_create(machine->isolated, 1, &config, isolated_broken, &machine->isolation), "no isolation");
	machine_new_back_end(machine);
	*out = &machine->isolated->pci;
}

/* The disk's file is used again and again. */

static void create_disk(struct machine *machine, struct tape *tape, const struct virtio_env *env, struct pci_dev **out)
{
	static uint8_t content[IMAGE_SIZE];
	static char path[32];
	static int image;
	const uint8_t kind = tape_u8(tape);
	const struct virtio_disk_config config = {path, kind & 1, 1u + (kind >> 1) % DISK_QUEUES};

	if (!image) {
		image = memfd_create("fuzz-disk", MFD_CLOEXEC);
		CHECK(image > 0, "no file");
		snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	}
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		content[i] = (uint8_t)(i * 7 + i / 512);
	CHECK(!ftruncate(image, IMAGE_SIZE) && pwrite(image, content, IMAGE_SIZE, 0) == IMAGE_SIZE, "not written");
	CHECK(!virtio_blk_check(&config) && !virtio_blk_create(env, &config, out), "no disk");
	machine->image = image;
	machine->readonly = config.readonly;
	machine->disk = (struct virtio_blk *)((char *)*out - offsetof(struct virtio_blk, dev.pci));
	/* As on a file system whose files may wait: then requests stay under way for some turns of the loop. */
	machine->disk->image.may_wait = !(kind >> 5);
}

static void played_destroy(struct pci_dev *dev)
{
	pci_dev_fini(dev);
}

static const struct pci_ops played_ops = {.destroy = played_destroy};
static const struct pci_ids played_ids = {.vendor = 0x1234, .device = 0x5678};

static void complete(struct machine *machine)
{
	viommu_inval_begin(machine->inval);
	CHECK(!viommu_inval_poll(machine->inval), "pending");
}

/* What it reaches does not depend on the guest. */
static void confine(struct machine *machine, struct viommu_endpoint *endpoint)
{
	CHECK(!viommu_attach(endpoint, machine->domain, machine->inval), "not attached");
	complete(machine);
}

static void place(struct machine *machine, enum machine_kind kind, struct pci_dev *pci, bool behind)
{
	struct device *device = &machine->devices[kind];

	if (kind != KIND_IOMMU)
		CHECK(!iommu_wiring_add_device(machine->wiring, pci_root_bus(machine->root), PCI_DEVFN(slots[kind], 0),
					       pci, behind, NULL),
		      "not on the bus");
	if (!behind)
		confine(machine, pci->endpoint);
	*device = (struct device){machine, kind, pci,
				  (struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci)),
				  first_rings[kind]};
}

static void create_devices(struct machine *machine, struct tape *tape, const struct virtio_env *env)
{
	const unsigned kinds = tape_u8(tape);
	struct pci_dev *pci;

	place(machine, KIND_IOMMU, registry_find(machine->registry, IOMMU_SLOT << 3)->dev, false);
	if (kinds & 3) {
		create_disk(machine, tape, env, &pci);
		place(machine, KIND_DISK, pci, machine->managed);
	}
	if (kinds & 4) {
		CHECK(!virtio_rng_check() && !virtio_rng_create(env, &pci), "no entropy device");
		place(machine, KIND_RNG, pci, machine->managed);
	}
	if (kinds & 0x10) {
		create_isolated(machine, tape, env, &pci);
		place(machine, KIND_ISOLATED, pci, machine->managed);
	}
	CHECK(!pci_dev_init(&machine->played, &played_ops, &played_ids), "no device");
	CHECK(!iommu_wiring_add_device(machine->wiring, pci_root_bus(machine->root), PCI_DEVFN(PLAYED_SLOT, 0),
				       &machine->played, true, NULL),
	      "not on the bus");
	pci_config_write(&machine->played, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
}

static void create_memory(struct machine *machine)
{
	CHECK(!ram_init(&machine->ram, MEMORY_SIZE), "no memory");
	memcpy(machine->ram.base + HIDDEN_FIRST, machine->secret, SECRET_SIZE);
	for (unsigned size = SECRET_SIZE; HIDDEN_FIRST + size < MEMORY_SIZE; size *= 2) {
		const unsigned left = MEMORY_SIZE - HIDDEN_FIRST - size;

		memcpy(machine->ram.base + HIDDEN_FIRST + size, machine->ram.base + HIDDEN_FIRST,
		       size < left ? size : left);
	}
}

static void create_wiring(struct machine *machine, const struct iommu_config *config, const struct virtio_env *env)
{
	struct ram known = machine->ram;
	const struct iommu_machine parts = {.ram = &known,
					    .loop = machine->loop,
					    .mmio = machine->board.mmio,
					    .irqchip = machine->board.chip,
					    .registry = machine->registry,
					    .progress = machine->progress};

	known.low_size = HOST_FIRST;
	CHECK(!iommu_wiring_create(config, &parts, &machine->wiring), "no wiring");
	machine->v = iommu_wiring_context(machine->wiring);
	CHECK(!viommu_inval_create(machine->v, &machine->inval), "no invalidation");
	CHECK(!viommu_domain_create(machine->v, 1000, &machine->domain), "no domain");
	CHECK(!viommu_map(machine->domain, (struct viommu_iova){0}, (struct viommu_iova){READ_ONLY_FIRST - 1},
			  (struct viommu_gpa){0}, VIOMMU_READ | VIOMMU_WRITE) &&
		      !viommu_map(machine->domain, (struct viommu_iova){READ_ONLY_FIRST},
				  (struct viommu_iova){HIDDEN_FIRST - 1}, (struct viommu_gpa){READ_ONLY_FIRST},
				  VIOMMU_READ),
	      "not mapped");
	CHECK(!iommu_wiring_add_unit(machine->wiring, env, pci_root_bus(machine->root)), "no unit");
}

static void turn_cb(void *opaque)
{
	struct machine *machine = opaque;

	if (--machine->turns)
		loop_post(machine->loop, &machine->turn);
	else
		loop_stop(machine->loop);
}

struct machine *machine_create(struct tape *tape)
{
	static uint8_t any_kvm;
	struct machine *machine = calloc(1, sizeof(*machine));
	const uint8_t kind = tape_u8(tape);
	const struct iommu_config config = {.kind = IOMMU_VIRTIO, .poll = kind % 3, .bypass = kind & 0x40};

	now_ms = 1000000;
	machine->turn = (struct loop_work){.run = turn_cb, .opaque = machine};
	machine_now = machine;
	machine->managed = (kind & 0x30) == 0x30;
	make_secret(tape, machine->secret);
	create_memory(machine);
	CHECK(!loop_create(&machine->loop), "no loop");
	board_create(&machine->board);
	kvm.sending = note_message;
	CHECK(!registry_create(&machine->registry), "no registry");
	CHECK(!progress_create(machine->loop, FAR_MS, &machine->progress), "no progress");
	const struct pci_root_config root = {.mmio = machine->board.mmio,
					     .pio = machine->board.pio,
					     .irqchip = machine->board.chip,
					     .bar64 = 1ull << 40,
					     .bar64_size = 1 << 30};
	const struct virtio_env env = {.kvm = kind & 0x80 ? (struct kvm *)&any_kvm : NULL, .loop = machine->loop};

	CHECK(!pci_root_create(&root, &machine->root), "no bus");
	create_wiring(machine, &config, &env);
	create_devices(machine, tape, &env);
	CHECK(!pci_firmware_setup(machine->root), "no firmware");
	return machine;
}

void machine_destroy(struct machine *machine)
{
	machine_release(machine);
	machine_settle(machine);
	if (machine->disk)
		CHECK(!machine->devices[KIND_DISK].pci->ops->drain(machine->devices[KIND_DISK].pci, true),
		      "requests are left");
	pci_root_destroy(machine->root);
	for (unsigned i = 0; i < IOEVENTFDS; i++)
		CHECK(!ioeventfds[i].address, "an ioeventfd outlives its device");
	for (struct registered *entry = NULL; (entry = registry_next(machine->registry, entry));)
		CHECK(!viommu_detach(entry->endpoint, machine->inval) || machine->managed, "not detached");
	complete(machine);
	viommu_domain_destroy(machine->domain);
	viommu_inval_destroy(machine->inval);
	iommu_wiring_destroy(machine->wiring);
	registry_destroy(machine->registry);
	progress_destroy(machine->progress);
	board_destroy(&machine->board);
	loop_destroy(machine->loop);
	ram_fini(&machine->ram);
	free(machine);
}

static void run_loop(struct machine *machine, unsigned turns)
{
	machine->turns = turns;
	loop_post(machine->loop, &machine->turn);
	CHECK(!loop_run(machine->loop), "the loop fails");
}

void machine_turn(struct machine *machine)
{
	run_loop(machine, 1);
}

bool device_serves(const struct device *device)
{
	return device->dev->started && !(device->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static bool all_at_rest(const struct machine *machine)
{
	for (unsigned i = 0; i < KINDS; i++)
		if (machine->devices[i].pci && device_serves(&machine->devices[i]))
			return false;
	return true;
}

static void check_memory(const struct machine *machine)
{
	const unsigned first = machine->managed ? HOST_FIRST : HIDDEN_FIRST;
	const uint8_t *hidden = machine->ram.base + first, *read_only = machine->ram.base + READ_ONLY_FIRST;

	CHECK(!memcmp(hidden, machine->secret, SECRET_SIZE) &&
		      !memcmp(hidden, hidden + SECRET_SIZE, MEMORY_SIZE - first - SECRET_SIZE),
	      "memory that no device can reach has changed");
	if (!machine->managed)
		CHECK(!*read_only && !memcmp(read_only, read_only + 1, HIDDEN_FIRST - READ_ONLY_FIRST - 1),
		      "memory that can be read only has changed");
}

static void check_queue(const struct device *device, unsigned queue, bool may_wait)
{
	const struct virtio_queue_regs *regs = &device->dev->queues[queue].regs;
	const struct vq *vq = &device->dev->queues[queue].vq;

	CHECK(regs->size && regs->size <= device->dev->ops->queue_size && !(regs->size & (regs->size - 1)), "size %u",
	      regs->size);
	CHECK(!regs->resetting || may_wait, "the reset of queue %u does not end", queue);
	CHECK(regs->vector == VIRTIO_MSI_NO_VECTOR || regs->vector <= device->dev->queue_count, "vector %u",
	      regs->vector);
	if (device->dev->running && vq->enabled)
		CHECK(regs->enabled && vq->desc == regs->desc && vq->avail == regs->avail && vq->used == regs->used &&
			      vq->size == regs->size,
		      "queue %u is not what the driver reads", queue);
}

static void check_device(const struct device *device)
{
	const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	const struct virtio_dev *dev = device->dev;
	const bool failed = dev->status & VIRTIO_CONFIG_S_NEEDS_RESET;
	/* The model waits for a device that has not let go of memory. */
	const bool may_wait = device->kind == KIND_IOMMU && device->machine->holds;

	CHECK(!(dev->status & ~known), "status 0x%x", dev->status);
	CHECK(!dev->resetting || may_wait, "the reset does not end");
	if (dev->started && !dev->resetting)
		CHECK(dev->running == !failed, "it %s, and the status is 0x%x", dev->running ? "runs" : "has failed",
		      dev->status);
	else
		CHECK(!dev->running, "it runs, and the status is 0x%x", dev->status);
	CHECK(!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK) || dev->status & VIRTIO_CONFIG_S_FEATURES_OK, "no features");
	CHECK(!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) || (!(dev->driver_features & ~virtio_offered(device->dev)) &&
							       dev->driver_features >> VIRTIO_F_VERSION_1 & 1),
	      "features 0x%llx", (unsigned long long)dev->driver_features);
	for (unsigned i = 0; i < dev->queue_count; i++)
		check_queue(device, i, may_wait);
}

static void check_disk(const struct machine *machine)
{
	const bool whole = !machine->shrunk;
	uint8_t tail[IMAGE_SIZE % 512];

	CHECK(!whole || lseek(machine->image, 0, SEEK_END) == IMAGE_SIZE, "the disk's file has another size");
	CHECK(!whole || pread(machine->image, tail, sizeof(tail), IMAGE_SECTORS * 512) == sizeof(tail), "not read");
	for (unsigned i = 0; whole && i < sizeof(tail); i++)
		CHECK(tail[i] == (uint8_t)((IMAGE_SECTORS * 512 + i) * 7 + IMAGE_SECTORS), "beyond the last sector");
	CHECK(!machine->disk->in_flight, "%u requests are under way", machine->disk->in_flight);
	for (unsigned i = 0; i < machine->devices[KIND_DISK].dev->queue_count; i++)
		CHECK(!machine->disk->taken[i] || !machine->devices[KIND_DISK].dev->running, "%u requests are lost",
		      machine->disk->taken[i]);
}

static void await_disk(struct machine *machine)
{
	struct pci_dev *pci = machine->devices[KIND_DISK].pci;
	struct pollfd fd = {.fd = pci->ops->drain_fd(pci), .events = POLLIN};

	CHECK(poll(&fd, 1, PATIENCE_MS) == 1, "%u requests do not end", machine->disk->in_flight);
}

void machine_settle(struct machine *machine)
{
	static uint8_t before[READ_ONLY_FIRST];
	const bool at_rest = all_at_rest(machine);

	if (at_rest)
		memcpy(before, machine->ram.base, sizeof(before));
	run_loop(machine, TURNS);
	while (machine->disk && machine->disk->in_flight) {
		await_disk(machine);
		run_loop(machine, TURNS);
	}
	CHECK(!at_rest || !memcmp(before, machine->ram.base, sizeof(before)),
	      "devices that do not run have changed memory");
	check_memory(machine);
	for (unsigned i = 0; i < KINDS; i++)
		if (machine->devices[i].pci)
			check_device(&machine->devices[i]);
	if (machine->disk)
		check_disk(machine);
}

void machine_shrink_image(struct machine *machine)
{
	if (!machine->disk)
		return;
	machine->shrunk = true;
	CHECK(!ftruncate(machine->image, IMAGE_SIZE / 2), "not shorter");
}

void machine_pass_time(struct machine *machine, unsigned ms)
{
	now_ms += ms;
	progress_signal(machine->progress); /* as its timer does */
}

bool machine_reaches(uint64_t first, uint64_t len, bool write)
{
	return !len || first + len <= (write ? READ_ONLY_FIRST : HIDDEN_FIRST);
}

static int begin_page(struct machine *machine, uint64_t iova, struct viommu_section *section, struct viommu_span *span)
{
	int err = viommu_dma_begin(machine->played.endpoint, section);

	if (err)
		return err;
	err = viommu_dma_translate(section, (struct viommu_iova){iova}, 1, VIOMMU_WRITE, span);
	if (err)
		viommu_dma_end(section);
	return err;
}

void machine_hold(struct machine *machine, unsigned page)
{
	struct viommu_section section;
	struct viommu_span span;

	if (machine->holds || begin_page(machine, (uint64_t)page * PAGE, &section, &span))
		return;
	machine->hold = (struct viommu_hold){0};
	viommu_dma_hold(&section, &machine->hold, &span, 1);
	viommu_dma_end(&section);
	machine->holds = true;
	machine->held_page = page;
}

void machine_release(struct machine *machine)
{
	if (machine->holds)
		viommu_dma_release(&machine->hold);
	machine->holds = false;
}

bool machine_played_reaches(struct machine *machine, uint64_t iova)
{
	struct viommu_section section;
	struct viommu_span span;

	if (begin_page(machine, iova, &section, &span))
		return false;
	viommu_dma_end(&section);
	return true;
}
