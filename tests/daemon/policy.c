/* SPDX-License-Identifier: MIT */
/*
 * Policies: what a file says, what a bad line costs, which processes match, which policy has
 * precedence; files by folder and masks. A process is only its identity here.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/policy.h"
#include "tests/check.h"

static struct hak_policy_set *set;

static void forget(void)
{
	hak_policy_free(set);
	set = calloc(1, sizeof(*set));
	EXPECT(set);
}

static void add(const char *name, const char *text)
{
	EXPECT(hak_policy_add(set, name, text, strlen(text)) == 0);
	hak_policy_sort(set);
}

static const struct hak_policy *named(const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->policy[i]->name, name) == 0)
			return set->policy[i];
	return NULL;
}

static size_t row(const char *name)
{
	const struct hak_tunable_row *r = hak_tunable_row_find(name);

	EXPECT(r);
	return (size_t)(r - hak_tunable_rows);
}

static const struct hak_identity redis = {
	.pid = 1,
	.uid = 107,
	.comm = "redis-server",
	.exe = "/usr/bin/redis-check-rdb",
	.cgroup = "/system.slice/system-redis.slice/redis@a.service/sub",
	.unit = "redis@a.service",
	.slice = "system-redis.slice",
	.user = "redis",
};

static bool matches(const char *match)
{
	char text[512];

	forget();
	snprintf(text, sizeof(text), "[Match]\n%s\n[Tunables]\nwhale.ring_slots=1\n", match);
	add("m.policy", text);
	EXPECT(set->n == 1);
	return hak_policy_matches(set->policy[0], &redis);
}

static void test_matching(void)
{
	static const char *const yes[] = {
		"Unit=redis@a.service",
		"Unit=redis@*",
		"Unit=a.service redis@?.service",
		"Unit=other.service\nUnit=redis@a.service",
		"Command=redis-server",
		"Command=redis-*",
		"User=redis",
		"User=107",
		"User=r*",
		"Slice=system-redis.slice",
		"Slice=system.slice",
		"Slice=-.slice",
		"Exe=/usr/bin/redis-*",
		"Exe=/*",
		"Cgroup=/system.slice/system-redis.slice/redis@a.service",
		"Cgroup=/system.slice",
		"Cgroup=/",
		"Cgroup=*/redis@a.service",
		"Unit=no.service\nUnit=\nUser=redis",
		"Unit=redis@*\nUser=redis\nSlice=system.slice",
		"Command=*",
		"Unit=[qr]edis@*",
	};
	static const char *const no[] = {
		"Unit=redis",
		"Unit=redis@b.service",
		"Command=redis",
		"Command=redis-serve",
		"User=10",
		"User=root",
		"Slice=user.slice",
		"Slice=redis.slice",
		"Exe=/usr/bin/redis",
		"Cgroup=/system.slice/system-redis.slice/redis@a",
		"Cgroup=/user.slice",
		"Unit=redis@*\nUser=root",
		"Slice=system-*-x.slice",
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		EXPECT(matches(yes[i]), "%s matches", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		EXPECT(!matches(no[i]), "%s does not match", no[i]);
}

/* Deep nesting: the groups around count, from the root down to the limit. */
static void test_deep(void)
{
	struct hak_identity id = { .comm = "x" };

	for (size_t i = 0; i < 400; i++)
		strcat(id.cgroup, i == 0 ? "/top" : i == 100 ? "/low" : "/x");
	forget();
	add("a.policy", "[Match]\nCgroup=/top\n");
	add("b.policy", "[Match]\nCgroup=*/low\n");
	EXPECT(hak_policy_matches(named("a"), &id));
	EXPECT(!hak_policy_matches(named("b"), &id));
}

/* A name longer than the kernel keeps is compared as far as the kernel keeps it. */
static void test_long_command(void)
{
	struct hak_identity id = { .comm = "systemd-resolve" };

	forget();
	add("a.policy", "[Match]\nCommand=systemd-resolved\n");
	EXPECT(hak_policy_matches(set->policy[0], &id));
	strcpy(id.comm, "systemd-resolv");
	EXPECT(!hak_policy_matches(set->policy[0], &id));
}

static void test_user_units(void)
{
	struct hak_identity id = { .unit = "user@1000.service", .user_unit = "mpd.service" };

	forget();
	add("a.policy", "[Match]\nUnit=mpd.service\n");
	add("b.policy", "[Match]\nUnit=user@*\n");
	EXPECT(hak_policy_matches(named("a"), &id) && hak_policy_matches(named("b"), &id));
}

/* The first of each pair has precedence, whatever its name. */
static void test_precedence(void)
{
	static const char *const pairs[][2] = {
		{ "Unit=redis@a.service", "Cgroup=/system.slice" },
		{ "Cgroup=/system.slice", "Exe=/usr/bin/redis-check-rdb" },
		{ "Exe=/usr/bin/redis-check-rdb", "Command=redis-server" },
		{ "Command=redis-server", "User=redis" },
		{ "User=redis", "Slice=system.slice" },
		{ "Slice=system.slice", "Unit=redis*" },
		{ "Unit=redis*", "Command=redis*" },
		{ "Unit=redis@*", "Unit=redis*" },
		{ "Unit=redis@a.service\nUser=redis", "Unit=redis@a.service" },
		{ "Command=redis-server", "Unit=*\nUser=r*" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (int turn = 0; turn < 2; turn++) {
			struct hak_effect e;

			forget();
			for (int j = 0; j < 2; j++) {
				snprintf(text, sizeof(text),
					 "[Match]\n%s\n[Tunables]\nwhale.ring_slots=%d\n",
					 pairs[i][j], j);
				add(j == turn ? "a.policy" : "b.policy", text);
			}
			hak_policy_effect(set, &redis, &e);
			EXPECT(e.matched == 2);
			EXPECT(e.tunable[row("whale.ring_slots")] == 0, "%s before %s", pairs[i][0],
			       pairs[i][1]);
			EXPECT(e.tunable_of[row("whale.ring_slots")] == e.first);
		}
	}
	/* Equals: the later name. */
	forget();
	add("10.policy", "[Match]\nCommand=redis*\n[Tunables]\nwhale.ring_slots=1\n");
	add("20.policy", "[Match]\nCommand=redis*\n[Tunables]\nwhale.ring_slots=2\n");
	struct hak_effect e;

	hak_policy_effect(set, &redis, &e);
	EXPECT(e.tunable[row("whale.ring_slots")] == 2);
}

/* Each setting comes from the policy of highest precedence that has it. */
static void test_merging(void)
{
	struct hak_effect e;

	forget();
	add("base.policy", "[Match]\nCommand=*\n[Tunables]\nwhale.ring_slots=5\n"
			   "purge.delay_ms=2s\n[Limit]\nCachedMax=64M\nIdlePurgeAfter=5min\n");
	add("redis.policy", "[Match]\nUnit=redis@a.service\n[Tunables]\nwhale.ring_slots=9\n"
			    "[Pressure]\nThreshold=10%\nWindow=4s\nAction=all\n"
			    "[Limit]\nCachedMax=8M\n");
	hak_policy_effect(set, &redis, &e);
	EXPECT(e.matched == 2 && e.first == named("redis"));
	EXPECT(e.tunable[row("whale.ring_slots")] == 9);
	EXPECT(e.tunable_of[row("purge.delay_ms")] == named("base"));
	EXPECT(e.tunable[row("purge.delay_ms")] == 2000);
	EXPECT(!e.tunable_of[row("region.evict")]);
	EXPECT(e.pressure && e.window_us == 4000000 && e.threshold_us == 400000);
	EXPECT(e.action == HAK_PURGE_ALL && e.cooldown_us == 10000000);
	EXPECT(e.cached_max == 8u << 20 && e.idle_purge_us == 300000000);

	forget();
	add("none.policy", "[Match]\nCommand=nothing\n[Limit]\nCachedMax=1\n");
	hak_policy_effect(set, &redis, &e);
	EXPECT(!e.first && !e.pressure && e.cached_max == UINT64_MAX && e.idle_purge_us == 0);
}

/* `where` is the line reported, 0 for the file; the policy must be `kept` or not. */
static void expect_problem(const char *text, unsigned where, const char *word, bool kept)
{
	bool told = false;

	forget();
	add("p.policy", text);
	for (size_t i = 0; i < set->problems_n; i++)
		told = told || (set->problem[i].line == where && strstr(set->problem[i].why, word));
	if (!told || (set->n == 1) != kept) {
		fprintf(stderr, "of:\n%s", text);
		for (size_t i = 0; i < set->problems_n; i++)
			fprintf(stderr, "%u: %s\n", set->problem[i].line, set->problem[i].why);
	}
	EXPECT(told);
	EXPECT((set->n == 1) == kept);
}

static void test_problems(void)
{
#define HEAD "[Match]\nCommand=x\n"
	expect_problem(HEAD "[Tunables]\nno.such=1\n", 4, "no.such", true);
	expect_problem(HEAD "[Tunables]\nwhale.ring_slots=many\n", 4, "0 to 1024", true);
	expect_problem(HEAD "[Tunables]\nwhale.ring_slots=1025\n", 4, "out of range", true);
	expect_problem(HEAD "[Tunables]\ncontrol.lock=on\n", 4, "start", true);
	expect_problem(HEAD "[Tunables]\nregion.evict\n", 4, "NAME=VALUE", true);
	expect_problem(HEAD "[Pressure]\nThreshold=101%\n", 4, "0.1%", true);
	expect_problem(HEAD "[Pressure]\nThreshold=0%\n", 4, "0.1%", true);
	expect_problem(HEAD "[Pressure]\nWindow=100ms\n", 4, "500ms", true);
	expect_problem(HEAD "[Pressure]\nAction=some\n", 4, "dirty", true);
	expect_problem(HEAD "[Pressure]\nColdown=1\n", 4, "Cooldown", true);
	expect_problem(HEAD "[Limit]\nCachedMax=-1\n", 4, "size", true);
	expect_problem(HEAD "[Limits]\nCachedMax=1\n", 4, "[Limit]", true);
	/* The processes that it is meant for are unclear then. */
	expect_problem("[Match]\nUnti=x\nCommand=x\n", 2, "Unti", false);
	expect_problem("[Match]\nCommand=x\nExe=redis\n", 3, "path", false);
	expect_problem("[Match]\nCommand=x\nUnit\n", 3, "NAME=VALUE", false);
	expect_problem("Command=x\n" HEAD, 1, "[Section]", false);
	expect_problem("[Match\nUnit=x\n" HEAD, 1, "[Section]", false);
	expect_problem("[Tunables]\nwhale.ring_slots=1\n", 0, "[Match]", false);
	expect_problem("[Match]\nCommand=\n", 0, "[Match]", false);
	expect_problem("", 0, "[Match]", false);
#undef HEAD
	/* Once for all lines that have no section. */
	forget();
	add("p.policy", "a=1\nb\nc=3\n[Match]\nUnti=x\nCommand=x\n");
	EXPECT(set->problems_n == 3 && set->problem[1].line == 5 && set->n == 0);
	/* The good lines beside a bad one stay. */
	forget();
	add("p.policy", "[Match]\nCommand=x\n[Tunables]\nno.such=1\nwhale.ring_slots=7\n");
	EXPECT(set->policy[0]->tunable[row("whale.ring_slots")] == 7);
}

/* Of a very bad file some problems are reported, and of the next one as well. */
static void test_many_problems(void)
{
	enum { LINES = 20000 };
	static const char head[] = "[Match]\nCommand=x\n[Tunables]\n", line[] = "no.such=1\n";
	char *text = malloc(sizeof(head) + LINES * sizeof(line));
	char *end = stpcpy(text, head);
	unsigned n;

	for (unsigned i = 0; i < LINES; i++)
		end = stpcpy(end, line);
	forget();
	add("a.policy", text);
	n = (unsigned)set->problems_n;
	EXPECT(n > 1 && n < 100 && set->problem[0].line == 4);
	EXPECT(strstr(set->problem[n - 1].why, "more lines"));
	add("b.policy", "[Match]\nCommand=x\n[Tunables]\nno.such=1\n");
	EXPECT(set->problems_n == n + 1 && strcmp(set->problem[n].path, "b.policy") == 0);
	free(text);
}

static void test_syntax(void)
{
	forget();
	add("p.policy", "# comment \\\n; another\n\n  [Match]  \r\n Command = x \\\n   y\r\n"
			"[Tunables]\nwhale.ring_slots=3\nwhale.ring_slots=4\npurge.delay_ms=1\n"
			"purge.delay_ms=");
	EXPECT(set->problems_n == 0 && set->n == 1);
	EXPECT(strcmp(set->policy[0]->pattern[HAK_MATCH_COMMAND][1], "y") == 0);
	EXPECT(set->policy[0]->tunable[row("whale.ring_slots")] == 4);
	EXPECT(!set->policy[0]->has_tunable[row("purge.delay_ms")]);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	EXPECT(f);
	fputs(text, f);
	EXPECT(fclose(f) == 0);
}

#define SLOTS(n) "[Match]\nCommand=*\n[Tunables]\nwhale.ring_slots=" #n "\n"

static void test_files(void)
{
	const char *tmp = getenv("HAK_TMP");
	char strong[128], weak[128], path[300], fifo[256];
	struct hak_effect e;

	EXPECT(tmp);
	snprintf(strong, sizeof(strong), "%s/strong", tmp);
	snprintf(weak, sizeof(weak), "%s/weak", tmp);
	snprintf(path, sizeof(path), "%s::%s:%s/none", strong, weak, tmp);
	EXPECT(mkdir(strong, 0755) == 0 && mkdir(weak, 0755) == 0);
	put(weak, "a.policy", SLOTS(1));
	put(weak, "b.policy", SLOTS(2));
	put(weak, "c.policy", SLOTS(3));
	put(weak, "d.conf", SLOTS(4));
	put(weak, ".e.policy", SLOTS(5));
	put(strong, "c.policy", "");
	put(strong, "a.policy", SLOTS(6));
	snprintf(fifo, sizeof(fifo), "%s/b.policy", strong);
	EXPECT(symlink("/dev/null", fifo) == 0);
	snprintf(fifo, sizeof(fifo), "%s/f.policy", strong);
	EXPECT(mkfifo(fifo, 0600) == 0);

	hak_policy_free(set);
	EXPECT(hak_policy_load(path, &set) == 0);
	EXPECT(set->n == 1 && set->files_n == 4);
	EXPECT(set->file[1].masked && set->file[2].masked);
	EXPECT(set->problems_n == 1 && strstr(set->problem[0].path, "f.policy"));
	hak_policy_effect(set, &redis, &e);
	EXPECT(e.tunable[row("whale.ring_slots")] == 6);
	unlink(fifo);
}

static const struct tcase cases[] = {
	{ "matching", test_matching },
	{ "deep", test_deep },
	{ "long_command", test_long_command },
	{ "user_units", test_user_units },
	{ "precedence", test_precedence },
	{ "merging", test_merging },
	{ "problems", test_problems },
	{ "many_problems", test_many_problems },
	{ "syntax", test_syntax },
	{ "files", test_files },
};

CASES(cases)
