/* SPDX-License-Identifier: MIT */
/*
 * The code and the notes of the probes. The format of the notes is SystemTap's ("stapsdt", version
 * 3). See probe.h.
 */
#include "probe.h"

#if HAK_HAVE_PROBES

#if defined(__x86_64__)
/*
 * nopl 0(%rax,%rax,1), written as bytes because assemblers would shorten it. Newer kernels turn
 * this instruction into a call, which costs a fraction of a trap, if it lies within one page.
 */
#define NOP    ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00"
#define ARGS_1 "8@%%rdi"
#define ARGS_2 ARGS_1 " 8@%%rsi"
#define ARGS_3 ARGS_2 " 8@%%rdx"
#define TAKE(a, b, c)
#define WHERE(a, b, c) "D"(a), "S"(b), "d"(c)
#else
#define NOP    "nop"
#define ARGS_1 "8@x0"
#define ARGS_2 ARGS_1 " 8@x1"
#define ARGS_3 ARGS_2 " 8@x2"
#define TAKE(a, b, c)                       \
	register uint64_t x0 asm("x0") = a; \
	register uint64_t x1 asm("x1") = b; \
	register uint64_t x2 asm("x2") = c;
#define WHERE(a, b, c) "r"(x0), "r"(x1), "r"(x2)
#endif

/*
 * The base is a symbol of a section from which tracers learn how far a prelinked file was moved. A
 * note belongs to the section of its function ("?"), so the linker keeps or drops both together.
 */
#define NOTE(provider, name, args)                                                \
	"990:	" NOP "\n"                                                        \
	".pushsection .note.stapsdt,\"?\",\"note\"\n"                             \
	".balign 4\n"                                                             \
	".4byte 992f-991f, 994f-993f, 3\n"                                        \
	"991:	.asciz \"stapsdt\"\n"                                               \
	"992:	.balign 4\n"                                                        \
	"993:	.8byte 990b, _.stapsdt.base, " #provider "_" #name "_semaphore\n" \
	".asciz \"" #provider "\", \"" #name "\", \"" args "\"\n"                 \
	"994:	.balign 4\n"                                                        \
	".popsection\n"                                                           \
	".ifndef _.stapsdt.base\n"                                                \
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"   \
	".weak _.stapsdt.base\n"                                                  \
	".hidden _.stapsdt.base\n"                                                \
	"_.stapsdt.base: .space 1\n"                                              \
	".size _.stapsdt.base, 1\n"                                               \
	".popsection\n"                                                           \
	".endif\n"

#define DEFINE(provider, name, n)                                                           \
	__attribute__((section(".probes"),                                                  \
		       used)) volatile unsigned short provider##_##name##_semaphore;        \
	HAK_COLD __attribute__((aligned(16))) void hak_probe_##provider##_##name(           \
		uint64_t a, uint64_t b, uint64_t c)                                         \
	{                                                                                   \
		TAKE(a, b, c)                                                               \
		asm volatile(NOTE(provider, name, ARGS_##n) : : WHERE(a, b, c) : "memory"); \
	}
HAK_PROBES(DEFINE)

#endif
