/* SPDX-License-Identifier: BSD-2-Clause */
/* Where another processor begins: copied to AP_PAGE, in real mode with CS there; from there to 32-bit code here. */
#include "regs.h"

	.section .rodata
	.balign 16
	.globl ap_begin, ap_end
ap_begin:
	.code16
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl ap_gdt_pointer - ap_begin
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE, $ap_protected
	.balign 8
ap_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
ap_gdt_pointer:
	.word ap_gdt_pointer - ap_gdt - 1
	.long AP_PAGE + ap_gdt - ap_begin
ap_end:

	.text
	.code32
ap_protected:
	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl $ap_stack_end, %esp
	call ap_main

	.bss
	.balign 16
	.skip 16384
ap_stack_end:

	.section .note.GNU-stack, "", @progbits
