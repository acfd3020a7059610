/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of a payload: by Multiboot, or with -DPVH by a PVH note. Both begin in 32-bit protected mode without paging,
 * with EBX pointing to what the loader tells. Nothing else of the processor's state is relied upon.
 */
#include "regs.h"

	.section .boot, "ax"
#ifdef PVH
	.pushsection .note.Xen, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start
	.popsection
#else
	.balign 4
	.long MULTIBOOT_MAGIC, 3, -(MULTIBOOT_MAGIC + 3)
#endif

	.globl start
start:
	cld
	/* How we were entered, for the test of it. */
	movl %eax, entry_state + 0
	movl %ebx, entry_state + 4
	movl %cr0, %eax
	movl %eax, entry_state + 8
	movl %cr4, %eax
	movl %eax, entry_state + 12
	movl $stack_end, %esp
	pushfl
	popl entry_state + 16
	lgdt gdt_pointer
	ljmp $SELECTOR_CODE, $1f
1:	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	call payload_main
2:	hlt
	jmp 2b

	.section .rodata
	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.bss
	.balign 16
	.skip 16384
stack_end:
	.globl entry_state
entry_state:
	.skip 20

	.section .note.GNU-stack, "", @progbits
