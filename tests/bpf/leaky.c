// SPDX-License-Identifier: MIT
/*
 * A program with a leak, for tests/bpf/profile.test. For each line on stdin it serves 20,000
 * requests, of which each keeps a block of 200 bytes and frees a block of 1,000 that it used; then
 * it answers with a line. Two of its functions have names that a linker takes for C++; in C this
 * needs no C++ compiler. Its own name and that of another function would break a document: control
 * bytes, half a character, markup, and more than fits into a bar.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define TEN                                                            \
	"\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5" \
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

/* A name of a few hundred letters whose expansion fills a gigabyte: each parameter is twice as long
 * as the one before. */
#define DISTENDED                                                                \
	"_Z7distend1AIiiES_IS0_S0_ES_IS1_S1_ES_IS2_S2_ES_IS3_S3_ES_IS4_S4_E"     \
	"S_IS5_S5_ES_IS6_S6_ES_IS7_S7_ES_IS8_S8_ES_IS9_S9_ES_ISA_SA_ES_ISB_SB_E" \
	"S_ISC_SC_ES_ISD_SD_ES_ISE_SE_ES_ISF_SF_ES_ISG_SG_ES_ISH_SH_ES_ISI_SI_E" \
	"S_ISJ_SJ_ES_ISK_SK_ES_ISL_SL_ES_ISM_SM_ES_ISN_SN_ES_ISO_SO_ES_ISP_SP_E"

void serve(int answer) __asm__("_ZN4shop5Order5serveEi");
void distend(int requests) __asm__(DISTENDED);
void deal(int requests) __asm__("\"deal\\\\" TEN TEN TEN TEN TEN TEN TEN "\"");

__attribute__((noinline)) void serve(int answer)
{
	struct kept *k = remember();
	char *text = compose();

	if (!k || !text)
		exit(1);
	k->next = list;
	list = k;
	free(text);
	if (answer)
		puts("served");
}

__attribute__((noinline)) void distend(int requests)
{
	for (int i = 0; i < requests; i++)
		serve(i == requests - 1);
	fflush(stdout);
}

/* gcov makes symbols of the name, which the assembler does not take. */
__attribute__((noinline, no_profile_instrument_function)) void deal(int requests)
{
	distend(requests);
	list->rest[0] = 2; /* not a tail call */
}

/* Older assemblers take no such name in an instruction. */
static void (*const volatile dealer)(int) = deal;

int main(void)
{
	char line[64];

	prctl(PR_SET_NAME, "l\033<&\"\xe6");
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		dealer(REQUESTS);
	return 0;
}
