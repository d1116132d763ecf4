/* SPDX-License-Identifier: MIT */
/*
 * What a thread runs that a tracer borrows: see called.h. The stack pointer is at the struct
 * ucontext that rt_sigreturn() takes. A tracer that is at its end skips that system call; the jump
 * makes it again if the tracer dies then.
 */
#if defined(__x86_64__) && HAK_CONTROL
	.text
	.hidden	hak_called
	.hidden	hak_called_entry
	.globl	hak_called_entry
	.type	hak_called_entry, %function
	.p2align 4
hak_called_entry:
	.cfi_startproc
	.cfi_undefined rip
	call	hak_called
	movq	%rax, %rbx
1:	movl	$15, %eax	/* rt_sigreturn */
	syscall
	jmp	1b
	.cfi_endproc
	.size	hak_called_entry, . - hak_called_entry
#endif
	.section .note.GNU-stack, "", %progbits
