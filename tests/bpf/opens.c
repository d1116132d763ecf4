/* SPDX-License-Identifier: MIT */
/*
 * hak_symbols_open() and hak_open_mapped() open files that the process chooses. They may open
 * regular files only, below the process's own root or mapped by it. inotify reports every real
 * open; O_PATH is none.
 */
#include <err.h>
#include <errno.h>
#include <dlfcn.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "bpf/symbols.h"
#include "tests/check.h"

enum { HERE = 512 };
static char here[HERE];

int main(int argc, char **argv);

/* -- the process ------------------------------------------------------------------------------- */
struct target {
	const char *maps;	      /* a file, mapped as a whole */
	int (*prepare)(const char *); /* called by the process, with that name, once it is mapped */
	const char *watched;	      /* a file that must not be opened, by a name in this root */
};

static void *map(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	void *at = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0)
		at = mmap(NULL, S_ISREG(st.st_mode) ? (size_t)st.st_size : 4096, PROT_READ,
			  MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		err(99, "%s", path);
	close(fd);
	return at;
}

/* Starts the process, which waits until it is ended; -1: it could not be prepared. */
static pid_t start(const struct target *t, uint64_t *ret_at)
{
	int ready[2];
	pid_t pid;

	if (pipe(ready) < 0)
		err(99, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		uint64_t at = (uint64_t)(uintptr_t)map(t->maps);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (t->prepare && t->prepare(t->maps) < 0)
			_exit(77);
		if (write(ready[1], &at, sizeof(at)) != sizeof(at))
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], ret_at, sizeof(*ret_at)) != sizeof(*ret_at)) {
		waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* -- who opens what ---------------------------------------------------------------------------- */
static int watch(const char *path)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, path, IN_OPEN) < 0)
		err(99, "a watch of %s", path);
	return fd;
}

static bool opened(int fd)
{
	char events[4096];

	return read(fd, events, sizeof(events)) > 0;
}

/* Its files are looked at, and the name of what is at that offset is asked for, which takes debug
 * information. */
static bool look_at(const struct target *t, uint64_t offset, const char *name, bool *ret_has_line)
{
	struct hak_symbols *symbols;
	struct hak_symbol symbol = { .function = NULL };
	uint64_t at;
	pid_t pid = start(t, &at);
	int seen, r, fd;
	bool known = false;

	if (pid < 0) {
		printf("%s not tried\n", t->maps);
		return false;
	}
	seen = watch(t->watched);
	r = hak_symbols_open(pid, &symbols);
	EXPECT(r == 0, "%s: %s", t->maps, strerror(-r));
	if (r == 0) {
		at += offset;
		hak_symbols_find(symbols, at, &symbol);
		known = symbol.function && strcmp(symbol.function, name) == 0;
		*ret_has_line = symbol.source && symbol.line > 0;
		hak_symbols_close(symbols);
	}
	EXPECT(!opened(seen), "%s: %s was opened", t->maps, t->watched);
	fd = hak_open_mapped_at(pid, at);
	if (fd >= 0)
		close(fd);
	EXPECT(!opened(seen), "%s: %s was opened where it is mapped", t->maps, t->watched);
	close(seen);
	end(pid);
	return known;
}

/* Whether main() of a copy of this program is known. */
static bool look(const struct target *t)
{
	bool has_line = false;
	Dl_info self;

	if (!dladdr((void *)main, &self))
		errx(99, "main() is nowhere");
	return look_at(t, (uint64_t)((uintptr_t)main - (uintptr_t)self.dli_fbase), "main",
		       &has_line);
}

/* -- devices ----------------------------------------------------------------------------------- */
static void check_devices(void)
{
	int fd;

	if (mknod("device", S_IFCHR | 0600, makedev(1, 5)) < 0 || link("device", "same") < 0 ||
	    (fd = open("device", O_RDONLY)) < 0) {
		printf("devices not tried: %s\n", strerror(errno));
		return;
	}
	close(fd);
	look(&(struct target){ "device", NULL, "same" });
	/* The file was removed, so it is opened through the mapping. */
	look(&(struct target){ "device", unlink, "same" });
}

/* -- links that lead out of the process's root ------------------------------------------------- */
/* Puts a link into its root, by the name of the file that it maps, which leads nowhere. */
static int cover(const char *maps)
{
	char path[HERE + 64];

	snprintf(path, sizeof(path), "%s/outside/secret", here);
	(void)maps;
	return unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			       mount("none", "in", "tmpfs", 0, NULL) < 0 ||
			       mount("none", "outside", "tmpfs", 0, NULL) < 0 || chdir(here) < 0 ||
			       symlink(path, "in/lib") < 0
		       ? -1
		       : 0;
}

static void check_links(void)
{
	if (mkdir("in", 0755) < 0 || mkdir("outside", 0755) < 0)
		err(99, "folders");
	if (system("cp this in/lib && cp this outside/secret") != 0)
		err(99, "in/lib");
	look(&(struct target){ "in/lib", cover, "outside/secret" });
}

/* -- names in files ---------------------------------------------------------------------------- */
/*
 * Makes a copy of this program with a section that names the secret, from /usr/lib/debug upwards.
 */
static bool make(const char *file, const char *strip, const char *section)
{
	char command[4 * HERE];

	snprintf(command, sizeof(command),
		 "printf '../../../../../../../..%s/secret\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' "
		 ">text && objcopy %s --add-section %s=text this %s",
		 here, strip, section, file);
	return system(command) == 0;
}

static void check_names(void)
{
	EXPECT(look(&(struct target){ "this", NULL, "secret" }), "main() is not known");
	if (!make("linked", "-S", ".gnu_debuglink") || !make("other", "", ".gnu_debugaltlink")) {
		puts("names in files not tried: no objcopy");
		return;
	}
	look(&(struct target){ "linked", NULL, "secret" });
	EXPECT(!look(&(struct target){ "other", NULL, "secret" }), ".gnu_debugaltlink is taken");
}

/* -- debug information in a file of its own ---------------------------------------------------- */
/* What libdw opens by itself when it is asked for all that there is: the name leads to the file. */
static bool opens_split(const char *file, const char *split)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), seen = watch(split);
	Dwarf *dwarf = dwarf_begin(fd, DWARF_C_READ);
	Dwarf_Die die, part;
	Dwarf_CU *unit = NULL;
	bool has_opened;

	while (dwarf && dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, &part) == 0)
		;
	has_opened = opened(seen);
	dwarf_end(dwarf);
	close(seen);
	close(fd);
	return has_opened;
}

/* An object whose debug information is in split.dwo, by a name that the object holds, and a copy
 * without the table of addresses; where a function of it is, or 0. */
static uint64_t make_split(int version)
{
	char command[512], file[32];
	uint64_t offset = 0;
	Dl_info where;
	void *object;

	snprintf(command, sizeof(command),
		 "echo 'int split_name(int i) { return i + 1; }' >split.c && rm -f split.dwo && "
		 "cc -gdwarf-%d -gsplit-dwarf -fPIC -c -o split.o split.c && "
		 "cc -shared -o split.so split.o && cp split.so split%d.so && test -s split.dwo && "
		 "objcopy -R .debug_aranges split.so bare.so",
		 version, version);
	if (system(command) != 0)
		return 0;
	/* By a name of its own: the one before is still loaded. */
	snprintf(file, sizeof(file), "./split%d.so", version);
	object = dlopen(file, RTLD_NOW);
	if (object && dladdr(dlsym(object, "split_name"), &where))
		offset = (uint64_t)((uintptr_t)where.dli_saddr - (uintptr_t)where.dli_fbase);
	return offset;
}

static void check_split(void)
{
	for (int version = 4; version <= 5; version++) {
		const struct target t = { "split.so", NULL, "split.dwo" };
		const struct target bare = { "bare.so", NULL, "split.dwo" };
		uint64_t offset = make_split(version);
		bool has_line = false;

		if (!offset) {
			printf("DWARF %d in a file of its own not tried: no compiler\n", version);
			continue;
		}
		EXPECT(opens_split("split.so", "split.dwo"), "DWARF %d: it names another", version);
		EXPECT(look_at(&t, offset, "split_name", &has_line) && has_line,
		       "DWARF %d: the function or its line is not known", version);
		EXPECT(look_at(&bare, offset, "split_name", &has_line),
		       "DWARF %d: the function is not known", version);
	}
}

/* -- how many ---------------------------------------------------------------------------------- */
enum { MANY = 300, TAKEN = 256 };

static int map_many(const char *maps)
{
	char name[32] = "";
	int fd;

	(void)maps;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		fd = open(name, O_WRONLY | O_CREAT, 0600);
		if (fd < 0 || write(fd, name, sizeof(name)) != sizeof(name))
			return -1;
		close(fd);
		map(name);
		unlink(name);
	}
	return 0;
}

/* All mappings are read for each removed file and for each refresh. */
static void check_bounds(void)
{
	const struct target t = { "this", map_many, "this" };
	struct hak_symbols *symbols;
	uint64_t at;
	pid_t pid = start(&t, &at);
	int r = pid < 0 ? -1 : hak_symbols_open(pid, &symbols), times = 0;

	EXPECT(r == 0, "no symbols");
	if (r < 0)
		return;
	EXPECT(hak_symbols_left_out(symbols) == MANY - TAKEN, "%u removed files left out",
	       hak_symbols_left_out(symbols));
	while (times < 1000 && hak_symbols_refresh(symbols) == 0)
		times++;
	EXPECT(times > 10 && times < 100, "%d refreshes", times);
	hak_symbols_close(symbols);
	end(pid);
}

static const struct tcase cases[] = {
	{ "devices", check_devices }, { "links", check_links },	  { "names", check_names },
	{ "split", check_split },     { "bounds", check_bounds },
};

int main(int argc, char **argv)
{
	const char *tmp = getenv("HAK_TMP");
	char command[64];

	if (geteuid() != 0)
		return skip_all("needs root");
	if (!tmp || chdir(tmp) < 0 || !getcwd(here, sizeof(here)))
		err(99, "HAK_TMP");
	snprintf(command, sizeof(command), "cp /proc/%d/exe this && cp this secret", getpid());
	if (system(command) != 0)
		errx(99, "no copy of this program");
	return RUN(argc, argv, cases);
}
