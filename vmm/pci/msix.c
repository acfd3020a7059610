/* SPDX-License-Identifier: BSD-2-Clause */
/* MSI-X (PCI Express base 5.0, section 6.1.4): table and pending bits, served in units of four bytes. */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "vmm/irqchip/route.h"
#include "vmm/pci/internal.h"

enum { CAPABILITY_SIZE = 12, ENTRY_SIZE = 16 };

int pci_add_msix(struct pci_dev *dev, unsigned bar, uint32_t table, uint32_t pba, unsigned count)
{
	uint8_t body[CAPABILITY_SIZE] = {0};
	struct pci_msix *msix = &dev->msix;

	assert(count && count <= 2048 && !(table % 8) && !(pba % 8));
	msix->entries = calloc(count, sizeof(*msix->entries));
	if (!msix->entries)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		msix->entries[i].masked = true;
	msix->bar = bar;
	msix->count = count;
	msix->table = table;
	msix->pba = pba;
	pci_set16(body, PCI_MSIX_FLAGS, (uint16_t)(count - 1));
	pci_set32(body, PCI_MSIX_TABLE, table | bar);
	pci_set32(body, PCI_MSIX_PBA, pba | bar);
	msix->capability = pci_add_capability(dev, PCI_CAP_ID_MSIX, body, sizeof(body));
	pci_set16(dev->writable, msix->capability + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	return 0;
}

static uint16_t control(const struct pci_dev *dev)
{
	return dev->msix.capability ? pci_get16(dev, dev->msix.capability + PCI_MSIX_FLAGS) : 0;
}

bool pci_msix_enabled(const struct pci_dev *dev)
{
	return control(dev) & PCI_MSIX_FLAGS_ENABLE;
}

/* A message is a memory write, so it needs bus mastering. */
static bool may_send(const struct pci_dev *dev, const struct msix_entry *entry)
{
	return pci_msix_enabled(dev) && !entry->masked && !(control(dev) & PCI_MSIX_FLAGS_MASKALL) &&
	       pci_bus_master(dev);
}

static void update_route(const struct pci_dev *dev, const struct msix_entry *entry)
{
	if (!entry->route)
		return;
	if (may_send(dev, entry))
		irq_route_set(entry->route, entry->message);
	else
		irq_route_clear(entry->route);
}

/* Sent under the lock: once the guest has masked an entry, the old message cannot come any more. */
static void send_or_keep(struct pci_dev *dev, struct msix_entry *entry)
{
	entry->pending = !may_send(dev, entry);
	if (!entry->pending && entry->route)
		irq_route_raise(entry->route);
}

void pci_msix_raise_locked(struct pci_dev *dev, unsigned vector)
{
	if (vector < dev->msix.count && pci_msix_enabled(dev))
		send_or_keep(dev, &dev->msix.entries[vector]);
}

void pci_msix_raise(struct pci_dev *dev, unsigned vector)
{
	mutex_take(&dev->lock);
	pci_msix_raise_locked(dev, vector);
	mutex_drop(&dev->lock);
}

int pci_msix_fd(struct pci_dev *dev, unsigned vector, struct loop *loop)
{
	if (vector >= dev->msix.count || !dev->msix.entries[vector].route)
		return -EINVAL;
	return irq_route_fd(dev->msix.entries[vector].route, loop);
}

void pci_msix_update(struct pci_dev *dev)
{
	bool enabled = pci_msix_enabled(dev);

	for (unsigned i = 0; i < dev->msix.count; i++) {
		struct msix_entry *entry = &dev->msix.entries[i];

		update_route(dev, entry);
		if (!enabled)
			entry->pending = false;
		else if (entry->pending)
			send_or_keep(dev, entry);
	}
}

static uint32_t table_read(const struct pci_msix *msix, uint64_t offset)
{
	const struct msix_entry *entry = &msix->entries[offset / ENTRY_SIZE];

	switch (offset % ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)entry->message.address;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(entry->message.address >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return entry->message.data;
	default:
		return entry->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void table_write(struct pci_dev *dev, uint64_t offset, uint32_t value)
{
	struct msix_entry *entry = &dev->msix.entries[offset / ENTRY_SIZE];
	struct msi_message *message = &entry->message;

	switch (offset % ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		message->address = (message->address & ~(uint64_t)UINT32_MAX) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		message->address = (message->address & UINT32_MAX) | (uint64_t)value << 32;
		break;
	case PCI_MSIX_ENTRY_DATA:
		message->data = value;
		break;
	case PCI_MSIX_ENTRY_VECTOR_CTRL:
		entry->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
	update_route(dev, entry);
	if (entry->pending)
		send_or_keep(dev, entry);
}

static uint32_t pba_read(const struct pci_msix *msix, uint64_t offset)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32 && offset * 8 + i < msix->count; i++) {
		const struct msix_entry *entry = &msix->entries[offset * 8 + i];

		if (entry->pending || (entry->route && irq_route_pending(entry->route)))
			bits |= 1u << i;
	}
	return bits;
}

enum place { ELSEWHERE, IN_TABLE, IN_PBA };

/* Which structure holds this offset; *offset becomes relative to it. */
static enum place locate(const struct pci_msix *msix, unsigned bar, uint64_t *offset)
{
	uint64_t pba_size = (msix->count + 63) / 64 * 8;

	if (!msix->capability || bar != msix->bar)
		return ELSEWHERE;
	if (*offset >= msix->table && *offset - msix->table < (uint64_t)msix->count * ENTRY_SIZE) {
		*offset -= msix->table;
		return IN_TABLE;
	}
	if (*offset >= msix->pba && *offset - msix->pba < pba_size) {
		*offset -= msix->pba;
		return IN_PBA;
	}
	return ELSEWHERE;
}

static uint32_t read_dword(const struct pci_msix *msix, unsigned bar, uint64_t offset)
{
	switch (locate(msix, bar, &offset)) {
	case IN_TABLE:
		return table_read(msix, offset & ~3ull);
	case IN_PBA:
		return pba_read(msix, offset & ~3ull);
	default:
		return 0;
	}
}

bool pci_msix_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size, uint64_t *value)
{
	uint64_t relative = offset;

	if (locate(&dev->msix, bar, &relative) == ELSEWHERE)
		return false;
	*value = read_dword(&dev->msix, bar, offset) >> (8 * (offset & 3));
	if (size == 8)
		*value |= (uint64_t)read_dword(&dev->msix, bar, offset + 4) << 32;
	return true;
}

static void write_dword(struct pci_dev *dev, unsigned bar, uint64_t offset, uint32_t value)
{
	if (locate(&dev->msix, bar, &offset) == IN_TABLE)
		table_write(dev, offset, value);
}

/* Anything but aligned accesses of four or eight bytes is undefined to software (section 7.7.2): ignored here. */
bool pci_msix_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size)
{
	uint64_t relative = offset;

	if (locate(&dev->msix, bar, &relative) == ELSEWHERE)
		return false;
	if (size < 4 || offset & 3)
		return true;
	write_dword(dev, bar, offset, (uint32_t)value);
	if (size == 8)
		write_dword(dev, bar, offset + 4, (uint32_t)(value >> 32));
	return true;
}
