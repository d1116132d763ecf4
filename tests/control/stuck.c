/* SPDX-License-Identifier: MIT */
/*
 * control/reader.c, when a reader cannot be killed: no process of the account for which that reader
 * worked is looked at until the reader is gone; processes of other accounts are. A child that waits
 * stands for the reader.
 */
#include "control/reader.c"
#include "tests/check.h"

#include <sys/stat.h>

enum { MS = 1000000, STUCK = 4001000, OTHER = 4001003 };

static int ours;

/* Returns the result of reading this process's own stat, in a share of the account. */
static int read_for_account(uid_t account)
{
	struct hak_shares s = { .pass_ns = 300 * MS, .user_ns = 300 * MS, .piece_ns = 300 * MS };
	uint64_t ticks;
	bool put_off;
	int r;

	hak_shares_begin(&s);
	if (!hak_share_enter(&s, account, NULL))
		return -EBUSY;
	r = hak_reader_stat(ours, 22, &ticks);
	put_off = hak_share_leave(&s, NULL);
	EXPECT(put_off == (r == -ETIME), "put off, and counted as that: %d, %d", put_off, r);
	return r;
}

static void one_account(void)
{
	uint64_t ticks;
	pid_t child = fork();
	uid_t account;

	if (child == 0)
		for (;;)
			pause();
	ours = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	EXPECT(read_for_account(STUCK) == 0, "before");
	r_.stuck[READERS - 1] =
		(struct stuck){ true, (int)syscall(SYS_pidfd_open, child, 0), STUCK };
	EXPECT(read_for_account(STUCK) == -ETIME, "the account");
	EXPECT(read_for_account(OTHER) == 0, "another account");
	EXPECT(read_for_account(0) == 0, "root's");
	EXPECT(hak_reader_stat(ours, 22, &ticks) == 0, "without a share");
	EXPECT(!hak_share_account(&account), "no share is left behind");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	EXPECT(read_for_account(STUCK) == 0, "when the reader is gone");
	EXPECT(!r_.stuck[READERS - 1].is_set, "its place is free");
}

/*
 * A reader that was given up is noted for its account, and costs the account nothing once it is
 * dead.
 */
static void given_up(void)
{
	struct hak_shares s = { .pass_ns = 900 * MS, .user_ns = 900 * MS, .piece_ns = 900 * MS };
	char folder[256], path[300], text[64];
	const char *tmp = getenv("HAK_TMP");
	int held;

	ours = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(folder, sizeof(folder), "%s/stuck", tmp ? tmp : ".");
	mkdir(folder, 0700);
	snprintf(path, sizeof(path), "%s/maps", folder);
	CHECK(mkfifo(path, 0600) == 0, "%s", path);
	held = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	hak_shares_begin(&s);
	CHECK(hak_share_enter(&s, STUCK, NULL));
	EXPECT(hak_reader_text(held, "maps", text, sizeof(text)) == -ETIME, "a FIFO");
	hak_share_leave(&s, NULL);
	EXPECT(r_.stuck[0].is_set && r_.stuck[0].account == STUCK && r_.stuck[0].pidfd >= 0,
	       "it is noted");
	while (!has_ended(r_.stuck[0].pidfd))
		poll(NULL, 0, 1);
	EXPECT(read_for_account(STUCK) == 0 && !r_.stuck[0].is_set, "and forgotten");
}

static const struct tcase cases[] = {
	{ "one_account", one_account },
	{ "given_up", given_up },
};

CASES(cases)
