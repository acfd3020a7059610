/* SPDX-License-Identifier: BSD-2-Clause */
/* The buses and interrupt controllers that a PCI root stands on; KVM is the one of kvm_record.h. */
#ifndef TESTS_SUPPORT_BOARD_H
#define TESTS_SUPPORT_BOARD_H

#include "tests/support/kvm_record.h"
#include "tests/support/test.h"
#include "vmm/irqchip/irqchip.h"
#include "vmm/kvm/kvm.h"
#include "vmm/util/bus.h"

struct board {
	struct bus *mmio, *pio;
	struct irqchip *chip;
};

static inline void board_create(struct board *board)
{
	struct kvm none = {.vm = -1};

	kvm_record_reset();
	assert_int_equal(bus_create(&board->mmio), 0);
	assert_int_equal(bus_create(&board->pio), 0);
	assert_int_equal(irqchip_create(&none, board->mmio, &board->chip), 0);
}

static inline void board_destroy(struct board *board)
{
	irqchip_destroy(board->chip);
	bus_destroy(board->pio);
	bus_destroy(board->mmio);
}

#endif
