// SPDX-License-Identifier: MIT
/*
 * hakmemd/owner.c against the kernel. For every combination of a caller and a process, the test
 * compares what hak_owner_may() says with what the kernel says when the caller itself tries to open
 * a file of the process's descriptors (PTRACE_MODE_READ_FSCREDS), compares its files
 * (READ_REALCREDS) and reads its memory (ATTACH_REALCREDS). The module never says yes where the
 * kernel says no. Where the module says no and the kernel yes, the caller or the process is of a
 * kind that owner.h lists.
 *
 * A caller that has executed another program since it connected is two processes: one that asks the
 * kernel, as the caller was then, and one that the module finds.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hakmemd/owner.h"
#include "tests/check.h"

#define A      61001u /* users and groups that own nothing else */
#define B      61002u
#define NET    (1ull << CAP_NET_BIND_SERVICE)
#define PTRACE (1ull << CAP_SYS_PTRACE)
#define KEEP   (-1) /* dumpable: as the kernel left it */

enum ns { OUR_NS, CALLERS_NS, CALLERS_INNER_NS, OTHERS_NS, ROOT_NS };
enum how { STAY, EXEC, EXEC_SETUID, EXEC_SETGID, EXEC_UNREADABLE };

struct ids {
	uid_t r, e, s;
};

struct process {
	struct ids uid, gid;
	gid_t more; /* a supplementary group; 0: none */
	uint64_t permitted;
	int dumpable;
	enum ns ns;
	enum how how;
};

struct caller {
	const char *name;
	struct process now;
	const char *connected; /* the caller that the bus saw; NULL: the same */
	bool listed;	       /* listed in owner.h: its rights do not count */
};

#define USER(id)  .uid = { id, id, id }, .dumpable = 1
#define GROUP(id) .gid = { id, id, id }
#define PLAIN(id) USER(id), GROUP(id)

static const struct caller callers[] = {
	{ "plain", { PLAIN(A) } },
	{ "another user", { PLAIN(B) } },
	{ "another group", { USER(A), GROUP(B) } },
	{ "in another group too", { PLAIN(A), .more = B } },
	{ "in other groups", { USER(A), GROUP(B), .more = A } },
	{ "with a capability", { PLAIN(A), .permitted = NET }, NULL, true },
	{ "with CAP_SYS_PTRACE", { PLAIN(A), .permitted = PTRACE }, NULL, true },
	{ "real user differs", { .uid = { B, A, A }, GROUP(A), .dumpable = 1 }, NULL, true },
	{ "saved user differs", { .uid = { A, A, B }, GROUP(A), .dumpable = 1 }, NULL, true },
	{ "real user root", { .uid = { 0, A, A }, GROUP(A), .dumpable = 1 }, NULL, true },
	{ "real group differs", { USER(A), .gid = { B, A, A } }, NULL, true },
	{ "effective group differs", { USER(A), .gid = { A, B, A } }, NULL, true },
	{ "in the groups of both", { USER(A), .gid = { B, A, A }, .more = B }, NULL, true },
	{ "not dumpable", { .uid = { A, A, A }, GROUP(A) }, NULL, true },
	{ "in its own namespace", { PLAIN(A), .ns = CALLERS_NS }, NULL, true },
	{ "in another namespace", { PLAIN(A), .ns = OTHERS_NS }, NULL, true },
	{ "root of a namespace", { PLAIN(A), .ns = ROOT_NS }, NULL, true },
	{ "executed setuid root", { .uid = { A, 0, 0 }, GROUP(A) }, "plain", true },
	{ "executed setuid", { PLAIN(A), .how = EXEC_SETUID }, "plain", true },
	{ "executed setgid", { PLAIN(A), .how = EXEC_SETGID }, "plain", true },
	{ "became another group", { USER(A), GROUP(B) }, "plain", true },
	{ "became its other group",
	  { .uid = { A, A, A }, GROUP(B), .more = B },
	  "in another group too",
	  true },
	{ "became another user", { PLAIN(B) }, "plain", true },
	{ "became root", { PLAIN(0) }, "plain", true },
	{ "gained a capability", { PLAIN(A), .permitted = NET }, "plain", true },
};
#define CALLERS (sizeof(callers) / sizeof(callers[0]))

struct helper {
	pid_t pid;
	int fd;
};

static char place[256]; /* copies of this program */
static bool yama;
static int root_ns = -1; /* of the caller that has made it */
static int word = 4711;	 /* read by the callers */

/* -- processes that are what is asked ---------------------------------------------------------- */
static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(99);
}

static void set_capabilities(uint64_t permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .permitted = (uint32_t)permitted,
		  .effective = (uint32_t)permitted,
		  .inheritable = (uint32_t)permitted },
		{ .permitted = (uint32_t)(permitted >> 32),
		  .effective = (uint32_t)(permitted >> 32) },
	};

	must(syscall(SYS_capset, &header, data) == 0, "capset");
	for (unsigned cap = 0; cap < 32; cap++) /* kept over an exec */
		if (permitted & 1ull << cap)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
}

static void tell(int fd, char c)
{
	must(send(fd, &c, 1, MSG_NOSIGNAL) == 1, "send");
}

static void await(int fd, char expected)
{
	char c = 0;

	must(read(fd, &c, 1) == 1 && c == expected, "the other side");
}

static void take_ids(const struct process *p)
{
	must(p->ns == CALLERS_INNER_NS || setgroups(p->more ? 1 : 0, &p->more) == 0, "setgroups");
	must(setresgid(p->gid.r, p->gid.e, p->gid.s) == 0, "setresgid");
	must(prctl(PR_SET_KEEPCAPS, 1) == 0, "keepcaps");
	must(setresuid(p->uid.r, p->uid.e, p->uid.s) == 0, "setresuid");
}

static void write_map(pid_t pid, const char *which, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	fd = open(path, O_WRONLY);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	close(fd);
}

/* The parent writes the maps. */
static void enter_namespace(int fd)
{
	must(unshare(CLONE_NEWUSER) == 0, "unshare");
	tell(fd, 'n');
	await(fd, 'm');
}

/* A namespace in a namespace, whose maps only processes inside may write. */
static void enter_inner_namespace(void)
{
	char map[64];

	snprintf(map, sizeof(map), "%u %u 1", A, A);
	must(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable"); /* the files belong to its user then */
	must(unshare(CLONE_NEWUSER) == 0, "unshare");
	write_map(getpid(), "setgroups", "deny");
	write_map(getpid(), "uid_map", map);
	write_map(getpid(), "gid_map", map);
}

/*
 * A namespace in which A is root, and the files of undumpable processes are A's: made once, then
 * joined.
 */
static void enter_root_namespace(int fd)
{
	if (root_ns < 0) {
		must(setresgid(A, A, A) == 0 && setresuid(A, A, A) == 0, "ids");
		enter_namespace(fd);
	} else {
		must(setns(root_ns, CLONE_NEWUSER) == 0, "setns");
	}
	must(setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0, "root's ids");
}

static void become(const struct process *p, int fd)
{
	static const char *const files[] = { [EXEC] = "plain",
					     [EXEC_SETUID] = "setuid",
					     [EXEC_SETGID] = "setgid",
					     [EXEC_UNREADABLE] = "unreadable" };
	char path[300], number[16];
	const char *dumpable = p->ns != ROOT_NS ? NULL : p->dumpable ? "1" : "0";

	if (p->ns == OTHERS_NS)
		enter_namespace(fd);
	if (p->ns == CALLERS_NS || p->ns == CALLERS_INNER_NS) {
		must(setgroups(0, NULL) == 0 && setresgid(A, A, A) == 0 && setresuid(A, A, A) == 0,
		     "ids");
		enter_namespace(fd);
		if (p->ns == CALLERS_INNER_NS)
			enter_inner_namespace();
	}
	if (p->ns == ROOT_NS)
		enter_root_namespace(fd);
	else
		take_ids(p);
	if (p->dumpable != KEEP)
		must(prctl(PR_SET_DUMPABLE, p->dumpable) == 0, "dumpable");
	set_capabilities(p->permitted);
	if (p->dumpable != KEEP)
		must(prctl(PR_SET_DUMPABLE, p->dumpable) == 0, "dumpable");
	if (p->how == STAY) /* otherwise the kernel decides */
		return;
	snprintf(path, sizeof(path), "%s/%s", place, files[p->how]);
	snprintf(number, sizeof(number), "%d", fd);
	execl(path, "owner", number, dumpable, NULL);
	must(false, path);
}

/* Returns whether the kernel lets this process do everything to `pid`, or nothing. */
static bool kernel_lets(pid_t pid)
{
	int copy = 0;
	struct iovec here = { &copy, sizeof(copy) }, there = { &word, sizeof(word) };
	bool fd, files, memory;
	char path[64], link[8];

	snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)pid);
	fd = readlink(path, link, sizeof(link)) > 0;
	files = syscall(SYS_kcmp, pid, getpid(), KCMP_FILES, 0, 0) >= 0 || errno == ENOSYS;
	memory = yama || process_vm_readv(pid, &here, 1, &there, 1, 0) > 0 || errno == EFAULT;
	return fd && files && memory;
}

/*
 * A caller answers for each process that it is asked about. Other processes only wait for the end.
 */
static void serve(int fd)
{
	pid_t pid;
	char yes;

	tell(fd, 'r');
	while (read(fd, &pid, sizeof(pid)) == sizeof(pid)) {
		yes = kernel_lets(pid);
		must(write(fd, &yes, 1) == 1, "write");
	}
	_exit(0);
}

/* Most maps leave every id unchanged, so that ids do not tell the owner of the namespace. */
static void write_maps(const struct helper *h, const struct process *p)
{
	char map[64] = "0 0 4294967295";

	if (p->ns == ROOT_NS)
		snprintf(map, sizeof(map), "0 %u 1", A);
	await(h->fd, 'n');
	write_map(h->pid, "uid_map", map);
	write_map(h->pid, "gid_map", map);
	tell(h->fd, 'm');
}

static struct helper start(const struct process *p)
{
	struct helper h;
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	h.pid = fork();
	must(h.pid >= 0, "fork");
	if (h.pid == 0) {
		close(fd[0]);
		become(p, fd[1]);
		serve(fd[1]);
	}
	close(fd[1]);
	h.fd = fd[0];
	return h;
}

static void await_ready(const struct helper *h, const struct process *p)
{
	if (p->ns != OUR_NS && !(p->ns == ROOT_NS && root_ns >= 0))
		write_maps(h, p);
	await(h->fd, 'r');
}

static void end(struct helper *h)
{
	close(h->fd);
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
}

/* -- who says what ----------------------------------------------------------------------------- */
static struct helper running[CALLERS];
static unsigned yes_both, no_both, no_listed;

static size_t connected_as(const struct caller *c)
{
	for (size_t i = 0; c->connected && i < CALLERS; i++)
		if (strcmp(callers[i].name, c->connected) == 0)
			return i;
	return (size_t)(c - callers);
}

static struct hak_caller on_bus(const struct caller *c)
{
	const struct process *then = &callers[connected_as(c)].now;
	struct hak_caller ret = { .uid = then->uid.e,
				  .pid = running[c - callers].pid,
				  .pidfd = -1,
				  .groups = 1,
				  .group = { then->gid.e } };

	if (then->more)
		ret.group[ret.groups++] = then->more;
	return ret;
}

static char kernel_says[CALLERS];

/* All of them at once, because each has to wait for a processor. */
static void ask_kernel(pid_t pid)
{
	for (size_t i = 0; i < CALLERS; i++)
		must(write(running[i].fd, &pid, sizeof(pid)) == sizeof(pid), "a caller");
	for (size_t i = 0; i < CALLERS; i++)
		must(read(running[i].fd, &kernel_says[i], 1) == 1, "a caller");
}

static void describe(const struct process *p, char *out, size_t bytes)
{
	snprintf(out, bytes, "uid %u/%u/%u gid %u/%u/%u caps %llx dumpable %d ns %d how %d",
		 p->uid.r, p->uid.e, p->uid.s, p->gid.r, p->gid.e, p->gid.s,
		 (unsigned long long)p->permitted, p->dumpable, p->ns, p->how);
}

static void compare(const struct caller *c, const struct process *p, int procfd)
{
	struct hak_caller caller = on_bus(c);
	bool kernel = kernel_says[connected_as(c)], ours = hak_owner_may(&caller, procfd);
	char text[160];

	describe(p, text, sizeof(text));
	EXPECT(kernel || !ours, "caller %s, process %s: yes, where the kernel says no", c->name,
	       text);
	EXPECT(ours || !kernel || c->listed, "caller %s, process %s: no, where the kernel says yes",
	       c->name, text);
	yes_both += ours && kernel;
	no_both += !ours && !kernel;
	no_listed += !ours && kernel;
}

static int open_proc(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_namespace(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0, path);
	return fd;
}

static void look_at(const struct process *p, struct helper *h)
{
	int procfd;

	await_ready(h, p);
	procfd = open_proc(h->pid);
	must(procfd >= 0, "/proc/PID");
	ask_kernel(h->pid);
	for (const struct caller *c = callers; c < callers + CALLERS; c++)
		compare(c, p, procfd);
	close(procfd);
	end(h);
}

/* They are started together, because each has to wait for a processor. */
#define BATCH 24
static struct process batch[BATCH];
static size_t batch_n;

static void look_at_batch(void)
{
	struct helper h[BATCH];

	for (size_t i = 0; i < batch_n; i++)
		h[i] = start(&batch[i]);
	for (size_t i = 0; i < batch_n; i++)
		look_at(&batch[i], &h[i]);
	batch_n = 0;
}

static void add(const struct process *p)
{
	if (batch_n == BATCH)
		look_at_batch();
	batch[batch_n++] = *p;
}

/* -- the table --------------------------------------------------------------------------------- */
static void every_id(struct process p, const struct ids *uids, size_t n)
{
	static const gid_t gids[] = { A, B };

	for (size_t u = 0; u < n; u++) {
		p.uid = uids[u];
		for (unsigned g = 0; g < 8; g++) {
			p.gid = (struct ids){ gids[g & 1], gids[g >> 1 & 1], gids[g >> 2 & 1] };
			for (p.dumpable = KEEP; p.dumpable <= 1; p.dumpable++)
				add(&p);
		}
	}
}

static size_t all_uids(struct ids *ret)
{
	static const uid_t uids[] = { A, B, 0 };
	size_t n = 0;

	for (unsigned i = 0; i < 27; i++)
		ret[n++] = (struct ids){ uids[i % 3], uids[i / 3 % 3], uids[i / 9] };
	return n;
}

static void every_process(void)
{
	static const struct ids plain[] = { { A, A, A }, { B, B, B }, { 0, 0, 0 } };
	static const uint64_t permitted[] = { NET, PTRACE, NET | PTRACE };
	struct ids uids[27];
	size_t n = all_uids(uids);
	struct process p = { .ns = OUR_NS };

	every_id(p, uids, n);
	for (size_t i = 0; i < sizeof(permitted) / sizeof(permitted[0]); i++) {
		p.permitted = permitted[i];
		every_id(p, plain, 3);
	}
	p.permitted = 0;
	p.ns = CALLERS_NS;
	every_id(p, plain, 3);
	p.ns = OTHERS_NS;
	every_id(p, plain, 3);
	p = (struct process){ PLAIN(A), .ns = CALLERS_INNER_NS };
	for (p.dumpable = KEEP; p.dumpable <= 1; p.dumpable++)
		add(&p);
}

/* Executed programs: those that gain rights, those that keep some, those that may not be read. */
static void every_program(void)
{
	static const uint64_t permitted[] = { 0, NET };

	for (enum how how = EXEC; how <= EXEC_UNREADABLE; how++)
		for (enum ns ns = OUR_NS; ns <= OTHERS_NS; ns++)
			for (size_t c = 0; c < 2; c++) {
				struct process p = { PLAIN(A), .permitted = permitted[c], .ns = ns,
						     .how = how };

				add(&p);
			}
	for (int dumpable = 0; dumpable <= 1; dumpable++) {
		struct process p = { .uid = { A, A, A },
				     GROUP(A),
				     .ns = ROOT_NS,
				     .how = EXEC,
				     .dumpable = dumpable };

		add(&p);
	}
}

/* -- what the bus does not know, or knows better ----------------------------------------------- */
static void bus_knows_less(void)
{
	const struct process plain = { PLAIN(A) };
	struct helper h = start(&plain), gone = start(&plain);
	struct hak_caller c = on_bus(&callers[0]), other;
	int procfd = open_proc(h.pid);

	await_ready(&h, &plain);
	await_ready(&gone, &plain);
	EXPECT(hak_owner_may(&c, procfd), "plain");
	c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	EXPECT(hak_owner_may(&c, procfd), "with a pidfd");
	other = c;
	other.pid = 0;
	EXPECT(!hak_owner_may(&other, procfd), "no process known");
	other = c;
	other.groups = 0;
	EXPECT(!hak_owner_may(&other, procfd), "no groups known");
	other = c;
	strcpy(other.label, "a label that no process has");
	EXPECT(!hak_owner_may(&other, procfd), "another label");
	/* Its number was taken over by a process that looks the same. */
	other = c;
	other.pidfd = (int)syscall(SYS_pidfd_open, gone.pid, 0);
	end(&gone);
	EXPECT(!hak_owner_may(&other, procfd), "a caller that ended");
	close(other.pidfd);
	close(c.pidfd);
	other = c;
	other.pidfd = -1;
	other.pid = gone.pid;
	EXPECT(!hak_owner_may(&other, procfd), "a number that nobody has");
	end(&h);
	c.pidfd = -1;
	EXPECT(!hak_owner_may(&c, procfd), "a process that ended");
	close(procfd);
}

/* -- life -------------------------------------------------------------------------------------- */
static void copy_program(const char *name, mode_t mode, uid_t uid)
{
	char path[300], command[700];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	snprintf(command, sizeof(command), "cp /proc/%d/exe '%s'", (int)getpid(), path);
	must(system(command) == 0 && chown(path, uid, uid) == 0 && chmod(path, mode) == 0, path);
}

static bool has_yama(void)
{
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY);
	char c = '0';

	if (fd < 0)
		return false;
	must(read(fd, &c, 1) == 1, "yama");
	close(fd);
	return c != '0';
}

static bool can_make_namespaces(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(setresuid(A, A, A) || unshare(CLONE_NEWUSER) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void kernel_and_rule_agree(void)
{
	every_process();
	every_program();
	look_at_batch();
	printf("both say yes %u times, no %u times; listed: %u\n", yes_both, no_both, no_listed);
	EXPECT(yes_both && no_both && no_listed, "a column is empty");
}

static const struct tcase cases[] = {
	{ "kernel_and_rule_agree", kernel_and_rule_agree },
	{ "bus_knows_less", bus_knows_less },
};

int main(int argc, char **argv)
{
	int r;

	if (argc > 2) { /* root of a namespace gets its capabilities back by executing */
		set_capabilities(0);
		prctl(PR_SET_DUMPABLE, atoi(argv[2]));
	}
	if (argc > 1)
		serve(atoi(argv[1]));
	if (geteuid() != 0 || !can_make_namespaces())
		return skip_all("needs root, and user namespaces that any user may make");
	must(getenv("HAK_TMP") != NULL, "HAK_TMP");
	snprintf(place, sizeof(place), "%.250s", getenv("HAK_TMP"));
	yama = has_yama();
	copy_program("plain", 0755, 0);
	copy_program("setuid", 04755, B);
	copy_program("setgid", 02755, B);
	copy_program("unreadable", 0711, 0);
	for (size_t i = 0; i < CALLERS; i++) {
		running[i] = start(&callers[i].now);
		await_ready(&running[i], &callers[i].now);
		if (callers[i].now.ns == ROOT_NS)
			root_ns = open_namespace(running[i].pid);
	}
	r = RUN(1, argv, cases);
	for (size_t i = 0; i < CALLERS; i++)
		end(&running[i]);
	return r;
}
