/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/journal.c with a clock of the test's own: how many messages about the processes of one
 * account are written in a minute, that one line reports when the rest is held back, and that none
 * of root's is.
 */
#define hak_monotonic_ns clock_now
#include "hakmemd/journal.c"
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;

uint64_t clock_now(void)
{
	return now_ns;
}

/* Returns how many lines were written to stderr since the last call. */
static unsigned lines(void)
{
	static char buf[1 << 16];
	static off_t at;
	ssize_t n = pread(STDERR_FILENO, buf, sizeof(buf), at);
	unsigned found = 0;

	for (ssize_t i = 0; i < n; i++)
		found += buf[i] == '\n';
	at += n > 0 ? n : 0;
	return found;
}

/* Returns how many of `n` entries may be written. */
static unsigned allowed(uid_t account, unsigned n)
{
	unsigned may = 0;

	while (n--)
		may += hak_may_tell(account);
	return may;
}

static void test_limit(void)
{
	EXPECT(allowed(1000, 5000) == HAK_TOLD_OF_ACCOUNT, "an account's limit");
	EXPECT(lines() == 1, "one line says that entries are held back");
	EXPECT(hak_told_left(1000) == 0, "none is left");
	EXPECT(allowed(1001, 10) == 10 && lines() == 0, "another account's are written");
	EXPECT(allowed(0, 5000) == 5000 && lines() == 0, "root's are written");

	now_ns += 61 * SECOND;
	EXPECT(allowed(1000, 5000) == HAK_TOLD_OF_ACCOUNT && lines() == 1, "in the next minute");
}

static void test_add(void)
{
	now_ns += 61 * SECOND;
	EXPECT(hak_told_left(1000) == HAK_TOLD_OF_ACCOUNT, "all are left");
	hak_told_add(1000, 24);
	EXPECT(hak_told_left(1000) == HAK_TOLD_OF_ACCOUNT - 24, "all but 24");
	hak_told_add(1000, UINT_MAX);
	EXPECT(hak_told_left(1000) == 0 && allowed(1000, 1) == 0, "none");
	hak_told_add(0, UINT_MAX);
	EXPECT(hak_told_left(0) == UINT_MAX, "root has no limit");
}

static const struct tcase cases[] = {
	{ "limit", test_limit },
	{ "add", test_add },
};

int main(int argc, char **argv)
{
	FILE *out = tmpfile();

	unsetenv("JOURNAL_STREAM");
	if (!out || dup2(fileno(out), STDERR_FILENO) < 0)
		return 99;
	return RUN(argc, argv, cases);
}
