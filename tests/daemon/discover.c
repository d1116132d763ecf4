/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/discover.c, manager.c and known.c with processes of the test's own: how many of them are
 * known, which users' are left out, and which make room for which.
 */
#include "control/pageout.h"
#include "hakmemd/discover.c"
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;
static uid_t account; /* of the process that is found next */
static unsigned opened, lines;
static bool executes; /* runs another program */
static bool silent;   /* the limit on this account's messages is reached */

/* -- what they need of the others -------------------------------------------------------------- */
uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

int hak_maybe_segment(int procdir, const char *pid)
{
	return 1;
}

int hak_segment_open(pid_t pid, unsigned flags, struct hak_segment **ret, char why[HAK_WHY_TEXT])
{
	struct hak_segment *seg = calloc(1, sizeof(*seg));

	if (!seg)
		exit(1);
	opened++;
	seg->pid = pid;
	seg->pidfd = -1;
	*ret = seg;
	return 0;
}

void hak_segment_close(struct hak_segment *seg)
{
	free(seg);
}

int hak_segment_alive(const struct hak_segment *seg)
{
	return 0;
}

int hak_each_mapping(int procfd, int (*see)(const struct hak_mapping *map, void *arg), void *arg)
{
	return 0;
}

int hak_identity_read(int procfd, pid_t pid, struct hak_identity *ret)
{
	*ret = (struct hak_identity){ .pid = pid, .uid = account, .account = account };
	return 0;
}

int hak_identity_refresh(int procfd, struct hak_identity *id)
{
	id->uid = id->account = account;
	return 0;
}

void hak_identity_name_user(struct hak_identity *id)
{
}

void hak_identity_forget_users(void)
{
}

int hak_program_open(int dir, const char *process, struct hak_program *ret)
{
	return 0;
}

void hak_program_close(struct hak_program *program)
{
}

bool hak_program_runs(const struct hak_program *program)
{
	return !executes;
}

bool hak_may_tell(uid_t user)
{
	return !silent;
}

bool hak_program_same_exe(int dir, const char *process, const struct hak_program *program)
{
	return true;
}

void hak_log(int level, const char *format, ...)
{
	lines += level <= LOG_NOTICE;
}

int hak_log_error(int error, const char *what)
{
	return error;
}

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...)
{
	lines += level <= LOG_NOTICE;
}

void hak_apply(struct hak_process *p)
{
}

void hak_apply_first(struct hak_process *p)
{
}

/* -- the tests --------------------------------------------------------------------------------- */
static struct hak_manager m;
static struct hak_discovery d = { .manager = &m };
static struct seen table[32768];

static bool is_known(pid_t pid)
{
	return hak_process_find(&m, pid, 0);
}

/* Looks at process `pid`, which belongs to user `uid`; returns whether it is known then. */
static bool look(pid_t pid, uid_t uid)
{
	account = uid;
	look_at(&d, &table[pid], uid);
	return is_known(pid);
}

static void begin_test(void)
{
	while (m.processes)
		hak_process_remove(m.processes);
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		table[i] = (struct seen){ .pid = (pid_t)i, .program = HAK_PROGRAM_NONE };
	d.shares.put_off = opened = lines = 0;
}

/* One account's processes leave room for others; those left out are not opened, are counted, and
 * are looked at again in the rarest of turns. */
static void test_of_account(void)
{
	const pid_t n = HAK_KNOWN_OF_ACCOUNT;

	begin_test();
	for (pid_t pid = 1; pid <= n; pid++)
		EXPECT(look(pid, 1000), "process %d has room", (int)pid);
	EXPECT(!look(n + 1, 1000) && !look(n + 2, 1000), "there are too many of one user");
	EXPECT(opened == HAK_KNOWN_OF_ACCOUNT, "%u were opened", opened);
	EXPECT(d.shares.put_off == 2, "%u were put off", (unsigned)d.shares.put_off);
	m.look = table[n + 1].look + OLDEST - 1;
	EXPECT(!due(&d, &table[n + 1]), "one that was left out is looked at soon");
	m.look += 1 + OLDEST;
	EXPECT(due(&d, &table[n + 1]), "one that was left out is never looked at again");
	EXPECT(look(n + 3, 1001) && look(n + 4, 0), "others have room");
	hak_process_remove(hak_process_find(&m, 1, 0));
	EXPECT(look(n + 1, 1000), "one has ended");
	EXPECT(!look(n + 2, 1000), "one alone");
	/* Root's are not counted. */
	for (pid_t pid = n + 5; pid < 2 * n + 10; pid++)
		EXPECT(look(pid, 0), "a process of root's");
	/* A process that changes its user counts as the new user's. */
	account = 1002;
	hak_discovery_refresh(hak_process_find(&m, 2, 0));
	EXPECT(look(n + 2, 1000), "one is another user's");
}

/* The limit on all is reached: a user with few displaces the newest process of a user with most. */
static void test_of_all(void)
{
	const unsigned users = HAK_KNOWN_MAX / HAK_KNOWN_OF_ACCOUNT;
	pid_t pid = 1;

	begin_test();
	for (unsigned u = 0; u < users; u++)
		for (unsigned i = 0; i < HAK_KNOWN_OF_ACCOUNT - (u == 3 ? 0 : 1); i++)
			look(pid++, 1000 + u);
	while (m.known.n < HAK_KNOWN_MAX)
		EXPECT(look(pid++, 2000), "there is room");
	/* The part of each of the nine is 1,820. */
	EXPECT(is_known(4 * HAK_KNOWN_OF_ACCOUNT - 3), "the newest of the largest account");
	EXPECT(look(pid++, 2000), "one that has little");
	EXPECT(!is_known(4 * HAK_KNOWN_OF_ACCOUNT - 3), "it goes for one that has little");
	EXPECT(is_known(4 * HAK_KNOWN_OF_ACCOUNT - 4), "the one before it stays");
	EXPECT(m.known.n == HAK_KNOWN_MAX && m.processes_n == HAK_KNOWN_MAX, "%u are known",
	       m.known.n);
	EXPECT(!look(pid++, 1000), "one that has most");
	EXPECT(look(pid++, 3000), "a tenth account");
	while (look(pid, 3000))
		pid++;
	EXPECT(hak_known_largest(&m.known)->n <= 2 * (HAK_KNOWN_MAX / 10), "the largest has %u",
	       hak_known_largest(&m.known)->n);
	for (unsigned u = 0; u < HAK_KNOWN_BUCKETS; u++)
		for (const struct hak_known_account *a = m.known.bucket[u]; a; a = a->next)
			if (a->account == 3000)
				EXPECT(a->n == HAK_KNOWN_MAX / 10, "the tenth has %u", a->n);
	while (m.processes)
		hak_process_remove(m.processes);
	EXPECT(m.known.n == 0 && m.known.accounts == 0 && !hak_known_largest(&m.known),
	       "%u processes of %u accounts are left", m.known.n, m.known.accounts);
}

/* A fault of a segment is reported once, unless the limit on its user's messages is reached; a
 * process that executes another program is new. */
static void test_bad(void)
{
	struct seen s = { .pid = getpid(), .program = HAK_PROGRAM_NONE };
	const struct doubt long_ago = { .since_ns = 1, .error = -EBADMSG };

	begin_test();
	s.doubt = long_ago;
	tell_bad(&d, &s, 1000, -EBADMSG, "a reason");
	tell_bad(&d, &s, 1000, -EBADMSG, "a reason");
	EXPECT(lines == 1 && s.told, "%u lines", lines);
	s.looks = YOUNG + RARELY;
	s.program.fd = 0;
	executes = true;
	EXPECT(due(&d, &s) && !s.told && s.doubt.since_ns == 0, "another program is new");
	executes = false;
	s.doubt = long_ago;
	silent = true;
	tell_bad(&d, &s, 1000, -EBADMSG, "a reason");
	s.told = false;
	tell_bad(&d, &s, 1000, -EMFILE, "a reason");
	EXPECT(lines == 1, "%u lines when enough was said of its user", lines);
	silent = false;
}

static const struct tcase cases[] = {
	{ "of_account", test_of_account },
	{ "of_all", test_of_all },
	{ "bad", test_bad },
};

int main(int argc, char **argv)
{
	struct hak_policy_set none = { .n = 0 };

	m.policies = &none;
	d.proc = opendir("/proc");
	CHECK(d.proc, "no /proc");
	return RUN(argc, argv, cases);
}
