/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of the teaching device edu (QEMU docs/specs/edu.rst), offsets from BAR 0. */
#ifndef PAYLOAD_EDU_H
#define PAYLOAD_EDU_H

enum {
	EDU_LIVENESS = 0x04,
	EDU_FACTORIAL = 0x08,
	EDU_STATUS = 0x20,
	EDU_STATUS_INTERRUPT = 0x80,
	EDU_INTERRUPTS = 0x24,
	EDU_REASON_FACTORIAL = 0x1,
	EDU_REASON_DMA = 0x100,
	EDU_RAISE = 0x60,
	EDU_ACKNOWLEDGE = 0x64,
	EDU_DMA_SOURCE = 0x80,
	EDU_DMA_TARGET = 0x88,
	EDU_DMA_COUNT = 0x90,
	EDU_DMA_COMMAND = 0x98,
	EDU_DMA_RUN = 1,
	EDU_DMA_TO_RAM = 2,
	EDU_DMA_INTERRUPT = 4,
	EDU_BUFFER = 0x40000,
};

#endif
