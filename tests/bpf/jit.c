// SPDX-License-Identifier: MIT
/*
 * A program with a compiler, for tests/bpf/jit.test. It makes two functions at run time, of which
 * one calls the other, and this calls leaf(). With the argument "named" it writes their names to
 * /tmp/perf-PID.map. For each line on stdin it makes 20,000 calls, of which each keeps a block of
 * 200 bytes and gives a mapping back in each hundredth, and answers with a line.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CALLS = 20000, GIVES = 100, PAGES = 16 * 4096, ROOM = 64 };

__attribute__((noinline)) static void leaf(void)
{
	static int calls;
	char *block = malloc(200);
	char *pages;

	if (!block)
		errx(1, "no memory");
	memset(block, 1, 200);
	if (calls++ % GIVES)
		return;
	pages = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		err(1, "mmap");
	memset(pages, 1, PAGES);
	munmap(pages, PAGES);
	__asm__ volatile("");
}

/* Writes a function with a frame pointer that calls another function. */
static void make(char *at, void (*callee)(void))
{
#if defined(__x86_64__)
	static const unsigned char enter[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8 };
	static const unsigned char leave[] = { 0xff, 0xd0, 0x5d, 0xc3 };
#elif defined(__aarch64__)
	static const unsigned char enter[] = {
		0xfd, 0x7b, 0xbf, 0xa9, /* stp x29, x30, [sp, #-16]! */
		0xfd, 0x03, 0x00, 0x91, /* mov x29, sp */
		0x50, 0x00, 0x00, 0x58, /* ldr x16, 8 bytes on */
		0x03, 0x00, 0x00, 0x14, /* b behind the address */
	};
	static const unsigned char leave[] = {
		0x00, 0x02, 0x3f, 0xd6, /* blr x16 */
		0xfd, 0x7b, 0xc1, 0xa8, /* ldp x29, x30, [sp], #16 */
		0xc0, 0x03, 0x5f, 0xd6, /* ret */
	};
#else
	static const unsigned char enter[1], leave[1];

	errx(77, "no code for this processor");
#endif
	memcpy(at, enter, sizeof(enter));
	memcpy(at + sizeof(enter), &callee, sizeof(callee));
	memcpy(at + sizeof(enter) + sizeof(callee), leave, sizeof(leave));
}

static void write_names(const char *code)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	f = fopen(path, "w");
	if (!f)
		err(1, "%s", path);
	fprintf(f, "%lx %x old\n%lx %x made\033;inner\n%lx %x made::outer@x\n",
		(unsigned long)(uintptr_t)code, 2 * ROOM, (unsigned long)(uintptr_t)code, ROOM,
		(unsigned long)(uintptr_t)(code + ROOM), ROOM);
	if (fclose(f) != 0)
		err(1, "%s", path);
}

int main(int argc, char **argv)
{
	char line[64], *code;
	void (*outer)(void), (*inner)(void);

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		err(1, "mmap");
	inner = (void (*)(void))(uintptr_t)code;
	outer = (void (*)(void))(uintptr_t)(code + ROOM);
	make(code, leaf);
	make(code + ROOM, inner);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC) < 0)
		err(1, "mprotect");
	__builtin___clear_cache(code, code + 4096);
	if (argc > 1 && strcmp(argv[1], "named") == 0)
		write_names(code);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < CALLS; i++)
			outer();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
