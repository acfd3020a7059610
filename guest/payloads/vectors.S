/* SPDX-License-Identifier: BSD-2-Clause */
/* An entry for each vector: it leaves the vector's number on the stack. */
#include "regs.h"

	.text
	.balign 16
	.globl exception_entries
exception_entries:
	.set number, 0
	.rept EXCEPTIONS
	.balign 16
	/* All but those with an error code: SDM volume 3, table 6-1. */
	.if !(number == 8 || (number >= 10 && number <= 14) || number == 17 || number == 21)
	push $0
	.endif
	push $number
	jmp common
	.set number, number + 1
	.endr

	.balign 16
	.globl interrupt_entries
interrupt_entries:
	.set number, FIRST_VECTOR
	.rept VECTORS
	.balign 16
	push $0
	push $number
	jmp common
	.set number, number + 1
	.endr

common:
	pushal
	cld
	pushl 40(%esp)			/* where it happened */
	pushl 36(%esp)			/* the vector */
	call handle_vector
	addl $8, %esp
	popal
	addl $8, %esp
	/*
	 * Not by IRET, which a KVM that interprets does not know in protected mode. Privilege and segments do not
	 * change: the flags and the address are all that has to come back.
	 */
	pushl 8(%esp)
	popfl
	ret $8

	.section .note.GNU-stack, "", @progbits
