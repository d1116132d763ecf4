/* SPDX-License-Identifier: MIT */
/*
 * dlopen() without RTLD_DEEPBIND. A library loaded with that flag calls libc's malloc and passes
 * the blocks to this library's free. libc takes the RUNPATH to search from the return address, so
 * the call must be a jump that leaves that address alone. A compiler makes such a jump only when it
 * optimises.
 */
#if defined(__CET__)
#include <cet.h>
#else
#define _CET_ENDBR
#endif

	.text
	.hidden	hak_real_dlopen
	.globl	dlopen
	.type	dlopen, %function
	.p2align 4
dlopen:
	.cfi_startproc
#if defined(__x86_64__)
	_CET_ENDBR
	andl	$~8, %esi
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	pushq	%rsi
	.cfi_adjust_cfa_offset 8
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	hak_real_dlopen
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%rsi
	.cfi_adjust_cfa_offset -8
	popq	%rdi
	.cfi_adjust_cfa_offset -8
	jmp	*%rax
#elif defined(__aarch64__)
	hint	#34	/* bti c */
	stp	x29, x30, [sp, #-32]!
	.cfi_adjust_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	bic	w1, w1, #8
	stp	x0, x1, [sp, #16]
	bl	hak_real_dlopen
	mov	x16, x0
	ldp	x0, x1, [sp, #16]
	ldp	x29, x30, [sp], #32
	.cfi_adjust_cfa_offset -32
	.cfi_restore x29
	.cfi_restore x30
	br	x16
#endif
	.cfi_endproc
	.size	dlopen, . - dlopen
	.section .note.GNU-stack, "", %progbits
