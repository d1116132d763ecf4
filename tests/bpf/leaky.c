// SPDX-License-Identifier: MIT
/*
 * A program with a leak, for tests/bpf/profile.test: each line on stdin lets it serve 20,000
 * requests, of which each keeps a block of 200 bytes and frees one of 1,000 that it used. It
 * answers with a line. Its name and that of one of its functions are such as would break a
 * document: control bytes, half a character, markup, and more than fits into a bar.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define TEN "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5" \
	"\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5"

enum { REQUESTS = 20000 };

struct kept {
	struct kept *next;
	char rest[200 - sizeof(struct kept *)];
};
static struct kept *list;

__attribute__((noinline)) static struct kept *remember(void)
{
	struct kept *k = malloc(sizeof(*k));

	if (k)
		memset(k, 1, sizeof(*k));
	return k;
}

__attribute__((noinline)) static char *compose(void)
{
	char *text = malloc(1000);

	if (text)
		memset(text, 1, 1000);
	return text;
}

static void serve(void) __asm__("\"serve\\\\" TEN TEN TEN TEN TEN TEN TEN "\"");
__attribute__((noinline)) static void serve(void)
{
	struct kept *k = remember();
	char *text = compose();

	if (!k || !text)
		exit(1);
	k->next = list;
	list = k;
	free(text);
}

int main(void)
{
	char line[64];

	prctl(PR_SET_NAME, "l\033<&\"\xe6");
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < REQUESTS; i++)
			serve();
		puts("served");
		fflush(stdout);
	}
	return 0;
}
