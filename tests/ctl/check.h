/* SPDX-License-Identifier: MIT */
/*
 * How the C tests of this folder fail: CHECK() prints the place and what was expected, and goes on,
 * so that one run shows all that is wrong; check_end() is main's return value.
 */
#ifndef HAK_TEST_CHECK_H
#define HAK_TEST_CHECK_H

#include <stdarg.h>
#include <stdio.h>

static int check_failures, check_count;

__attribute__((format(printf, 4, 5), unused)) static void
check_at(const char *file, int line, int good, const char *format, ...)
{
	va_list args;

	check_count++;
	if (good)
		return;
	check_failures++;
	printf("%s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

#define CHECK(good, ...) check_at(__FILE__, __LINE__, !!(good), __VA_ARGS__)

static inline int check_end(void)
{
	printf("%d checks, %d failed\n", check_count, check_failures);
	return check_failures != 0 || check_count == 0;
}

#endif
