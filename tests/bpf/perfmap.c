/* SPDX-License-Identifier: MIT */
/*
 * Names of code that a process makes, from /tmp/perf-PID.map in its own root: which address has
 * which name, and that no other file than the process's own or root's is read, however it is placed
 * there. Ranges that overlap are compared with a search through all lines.
 */
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/perfmap.h"
#include "tests/check.h"

enum { CODE = 4096, GROUPS = 1000 };

/* -- the process ------------------------------------------------------------------------------- */
static pid_t pid;
static uint64_t code, shared_code, data;
static char path[64]; /* of its file, from outside of its root */

static uint64_t map(int prot, int flags, int fd)
{
	void *at = mmap(NULL, CODE, prot, MAP_PRIVATE | flags, fd, 0);

	if (at == MAP_FAILED)
		err(99, "mmap");
	return (uint64_t)(uintptr_t)at;
}

/* As many as make /proc/PID/status longer than a page before the pids. */
static int enter_groups(void)
{
	gid_t group[GROUPS];

	for (gid_t i = 0; i < GROUPS; i++)
		group[i] = 100000 + i;
	return setgroups(GROUPS, group);
}

/* Starts a process in a root of its own, with that user, and with code in no file. */
static void start(uid_t uid)
{
	int ready[2], memfd = memfd_create("code", 0);
	char own[] = "case.XXXXXX";
	uint64_t at[3];

	if (!mkdtemp(own) || chmod(own, 0755) < 0 || chdir(own) < 0)
		err(99, "a folder");
	if (mkdir("root", 0755) < 0 || mkdir("root/tmp", 0777) < 0 ||
	    chmod("root/tmp", 01777) < 0 || ftruncate(memfd, CODE) < 0 || pipe(ready) < 0)
		err(99, "root");
	pid = fork();
	if (pid == 0) {
		at[0] = map(PROT_READ | PROT_EXEC, MAP_ANONYMOUS, -1);
		at[1] = map(PROT_READ | PROT_EXEC, 0, memfd);
		at[2] = map(PROT_READ, MAP_ANONYMOUS, -1);
		if (chroot("root") < 0 || chdir("/") < 0 || enter_groups() < 0 || setuid(uid) < 0)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], at, sizeof(at)) != sizeof(at))
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	close(memfd);
	CHECK(read(ready[0], at, sizeof(at)) == sizeof(at), "the process does not come up");
	close(ready[0]);
	code = at[0], shared_code = at[1], data = at[2];
	snprintf(path, sizeof(path), "root/tmp/perf-%d.map", (int)pid);
}

static void end(void)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void write_file(const char *name, const char *text, size_t bytes)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, bytes) != (ssize_t)bytes)
		err(99, "%s", name);
	close(fd);
}

/* A file that names the first 16 bytes of the code. */
static void write_name(const char *name)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%llx 10 made of two words\n",
			 (unsigned long long)code);

	write_file(name, line, (size_t)n);
}

/* Returns the name of the code's beginning, or "", and the reason, or "". */
static const char *look(char why[HAK_WHY_TEXT])
{
	static char name[2048];
	struct hak_perfmap *m = hak_perfmap_open(pid);
	const struct hak_perfmap_range *range;

	CHECK(m, "no map");
	hak_perfmap_meet(m, code);
	range = hak_perfmap_find(m, code);
	snprintf(name, sizeof(name), "%s", range ? range->name : "");
	why[0] = '\0';
	EXPECT(hak_perfmap_missing(m, why) == !range, "missing");
	hak_perfmap_close(m);
	return name;
}

static void refused(const char *text)
{
	char why[HAK_WHY_TEXT];
	const char *name = look(why);

	EXPECT(!name[0], "%s: it is read: %s", text, name);
	EXPECT(strstr(why, text) && strstr(why, path + 4), "not \"%s\" but \"%s\"", text, why);
}

static void taken(void)
{
	char why[HAK_WHY_TEXT];
	const char *name = look(why);

	EXPECT(strcmp(name, "made of two words") == 0, "\"%s\": %s", name, why);
}

/* -- which file -------------------------------------------------------------------------------- */
static void owners(void)
{
	start(1234);
	refused("No such file");
	write_name(path);
	taken(); /* root's */
	if (chown(path, 1234, 0) < 0)
		err(99, "chown");
	taken();
	if (chown(path, 1235, 0) < 0)
		err(99, "chown");
	refused("belongs to user 1235 and not to user 1234");
	end();
}

static void kinds(void)
{
	start(1234);
	write_name("root/tmp/other");
	if (symlink("other", path) < 0)
		err(99, "symlink");
	refused("is a link");
	unlink(path);
	if (link("root/tmp/other", path) < 0)
		err(99, "link");
	refused("is a link");
	unlink("root/tmp/other");
	taken();
	unlink(path);
	if (mkfifo(path, 0666) < 0)
		err(99, "mkfifo");
	refused("not a regular file");
	unlink(path);
	if (mkdir(path, 0777) < 0)
		err(99, "mkdir");
	refused("not a regular file");
	end();
}

/* A link to a folder is followed in the root of the process. */
static void folders(void)
{
	char moved[128];

	start(1234);
	if (rmdir("root/tmp") < 0 || mkdir("root/elsewhere", 0777) < 0 ||
	    symlink("/elsewhere", "root/tmp") < 0)
		err(99, "elsewhere");
	snprintf(moved, sizeof(moved), "root/elsewhere/perf-%d.map", (int)pid);
	write_name(moved);
	taken();
	end();
}

/* -- what is in it ----------------------------------------------------------------------------- */
static void sizes(void)
{
	char why[HAK_WHY_TEXT], *many, *at;
	struct stat st;

	start(1234);
	write_name(path);
	if (truncate(path, 100 << 20) < 0 || stat(path, &st) < 0)
		err(99, "truncate");
	taken();
	unlink(path);
	/* Without the name in its beginning */
	write_file(path, "x\n", 2);
	if (truncate(path, 100 << 20) < 0)
		err(99, "truncate");
	refused("too long");
	many = at = malloc(2 * (HAK_PERFMAP_LINES + 10) + 128);
	if (!many)
		err(99, "malloc");
	for (unsigned i = 0; i < HAK_PERFMAP_LINES; i++)
		at = stpcpy(at, "x\n");
	at += sprintf(at, "%llx 10 late\n", (unsigned long long)code);
	write_file(path, many, (size_t)(at - many));
	free(many);
	refused("too long");
	/* a name is cut */
	many = malloc(8192);
	at = many + sprintf(many, "%llx 10 ", (unsigned long long)code);
	memset(at, 'n', 4096);
	at[4096] = '\n';
	write_file(path, many, (size_t)(at + 4097 - many));
	free(many);
	EXPECT(strlen(look(why)) == HAK_PERFMAP_NAME, "%zu", strlen(look(why)));
	end();
}

static void garbage(void)
{
	char text[65536];
	uint32_t random = 1;

	start(1234);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)((random = random * 1664525 + 1013904223) >> 24);
	write_file(path, text, sizeof(text));
	refused("lines are not understood");
	write_file(path, "", 0);
	refused("no name for some addresses");
	end();
}

/* Both kinds of code are noted; data is not. */
static void areas(void)
{
	uint64_t made[] = { code, shared_code, data };
	char why[HAK_WHY_TEXT];

	start(1234);
	made[0] = code, made[1] = shared_code, made[2] = data;
	for (int i = 0; i < 3; i++) {
		struct hak_perfmap *m = hak_perfmap_open(pid);

		hak_perfmap_meet(m, made[i]);
		EXPECT(!hak_perfmap_find(m, made[i]), "a name");
		EXPECT(hak_perfmap_missing(m, why) == (i < 2), "area %d", i);
		hak_perfmap_close(m);
	}
	end();
}

/* The file is opened while the process runs, and read at the end, also if it has gone. */
static void ended(void)
{
	const struct hak_perfmap_range *range;
	struct hak_perfmap *m;

	start(1234);
	write_name(path);
	m = hak_perfmap_open(pid);
	hak_perfmap_meet(m, code);
	end();
	unlink(path);
	range = hak_perfmap_find(m, code + 15);
	EXPECT(range && strcmp(range->name, "made of two words") == 0, "no name");
	EXPECT(!hak_perfmap_find(m, code + 16), "the range is too long");
	hak_perfmap_close(m);
	EXPECT(!hak_perfmap_open(pid), "a process that has gone");
}

/* -- the text ---------------------------------------------------------------------------------- */
static void parse(const char *text, struct hak_perfmap_names *ret)
{
	char *copy = malloc(strlen(text) + 1);

	CHECK(copy && hak_perfmap_parse(strcpy(copy, text), strlen(text), ret) == 0);
}

static void lines(void)
{
	static const char *const strange[] = {
		"10",
		"10 ",
		"10 1",
		"10 1 ",
		"10 0 empty",
		"ffffffffffffffff 2 reversed",
		"-10 20 sign",
		"10 -20 sign",
		" 10 20 blank",
		"10  20 blank",
		"10000000000000000 1 large",
		"name",
		"10 fffffffffffffff8 reversed",
	};
	struct hak_perfmap_names names;

	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		parse(strange[i], &names);
		EXPECT(names.n == 0 && names.strange == 1, "%s", strange[i]);
		hak_perfmap_names_free(&names);
	}
	parse("AB 1 a\n\n20 10 LazyCompile:*f /@x.js:1;\n0 1 zero", &names);
	EXPECT(names.n == 3 && names.strange == 0 && !names.cut, "%zu", names.n);
	EXPECT(names.range[1].start == 0x20 && names.range[1].end == 0x30 &&
		       strcmp(names.range[1].name, "LazyCompile:*f /@x.js:1;") == 0,
	       "%s", names.range[1].name);
	hak_perfmap_names_free(&names);
}

static const char *name_at(const struct hak_perfmap_names *names, uint64_t address)
{
	const char *found = "";

	for (size_t i = 0; i < names->n; i++)
		if (address >= names->range[i].start && address < names->range[i].end)
			found = names->range[i].name;
	return found;
}

static void overlaps(void)
{
	enum { ROUNDS = 200, LINES = 60, SPACE = 128 };
	struct hak_perfmap_names names;
	char text[LINES * 32], name[16];
	uint32_t random = 7;

	for (int round = 0; round < ROUNDS; round++) {
		int last[2 * SPACE], n = 1 + round % LINES;
		char *at = text;

		memset(last, -1, sizeof(last));
		for (int i = 0; i < n; i++) {
			unsigned start = (random = random * 1664525 + 1013904223) >> 25;
			unsigned bytes = 1 + ((random = random * 1664525 + 1013904223) >> 26);

			at += sprintf(at, "%x %x n%d\n", start, bytes, i);
			for (unsigned k = 0; k < bytes; k++)
				last[start + k] = i;
		}
		parse(text, &names);
		for (unsigned i = 0; i < 2 * SPACE; i++) {
			name[0] = '\0';
			if (last[i] >= 0)
				snprintf(name, sizeof(name), "n%d", last[i]);
			EXPECT(strcmp(name_at(&names, i), name) == 0, "round %d: %u: %s, not %s",
			       round, i, name_at(&names, i), name);
		}
		for (size_t i = 1; i < names.n; i++)
			EXPECT(names.range[i].start >= names.range[i - 1].end, "they overlap");
		hak_perfmap_names_free(&names);
	}
}

static const struct tcase cases[] = {
	{ "owners", owners }, { "kinds", kinds },     { "folders", folders },
	{ "sizes", sizes },   { "garbage", garbage }, { "areas", areas },
	{ "ended", ended },   { "lines", lines },     { "overlaps", overlaps },
};

int main(int argc, char **argv)
{
	const char *tmp = getenv("HAK_TMP");

	if (geteuid() != 0)
		return skip_all("needs root");
	if (!tmp || chdir(tmp) < 0)
		err(99, "HAK_TMP");
	return RUN(argc, argv, cases);
}
