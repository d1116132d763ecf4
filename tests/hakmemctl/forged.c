/* SPDX-License-Identifier: MIT */
/*
 * For attach.test: a process whose segment (fake.h) names code that is not what it should be.
 *
 *	forged none	no code
 *	forged data	a variable
 *	forged libc	a function in another file
 *	forged loop	a function that does not return
 *	forged crash	a function that ends the process
 * Prints "ready", and waits for the end of stdin.
 */
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/control/fake.h"

static volatile int variable;

static void loop(void)
{
	while (!variable)
		;
}

static uint64_t address_of(const char *what)
{
	if (strcmp(what, "data") == 0)
		return (uintptr_t)&variable;
	if (strcmp(what, "libc") == 0)
		return (uintptr_t)getpid;
	if (strcmp(what, "loop") == 0)
		return (uintptr_t)loop;
	return strcmp(what, "crash") == 0 ? (uintptr_t)abort : 0;
}

int main(int argc, char **argv)
{
	struct fake f;
	char byte;

	if (argc != 2)
		return 2;
	fake_create(&f);
	f.header->call = address_of(argv[1]);
	f.header->code = strcmp(argv[1], "crash") == 0 ? f.header->call : (uintptr_t)main;
	fake_seal(&f);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	return read(STDIN_FILENO, &byte, 1) != 0;
}
