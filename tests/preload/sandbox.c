// SPDX-License-Identifier: MIT
/*
 * Programs that lock themselves in, or were locked in before they started: seccomp filters that
 * deny or kill (hazard 19), privileges and roots given up, no /proc (39). The filters allow what
 * glibc's malloc needs and nothing else. agent.c tests what the agent thread must not disturb.
 */
#include "harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif
#define DENY  (SECCOMP_RET_ERRNO | EPERM)
#define NOSYS (SECCOMP_RET_ERRNO | ENOSYS)
#define KILL  SECCOMP_RET_KILL_PROCESS

enum { MAX_RULES = 100 };

struct rules {
	struct sock_filter code[MAX_RULES];
	unsigned short len;
};

static void emit(struct rules *r, struct sock_filter f)
{
	CHECK(r->len < MAX_RULES);
	r->code[r->len++] = f;
}

static void load_number(struct rules *r)
{
	emit(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					     offsetof(struct seccomp_data, nr)));
}

static void on_call(struct rules *r, long nr, unsigned int action)
{
	emit(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1));
	emit(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* madvise: DONTNEED and FREE as if the rule said allow, all others `other`. */
static void on_madvise(struct rules *r, unsigned int other)
{
	emit(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 5));
	emit(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					     offsetof(struct seccomp_data, args[2])));
	emit(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTNEED, 1, 0));
	emit(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_FREE, 0, 1));
	emit(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	emit(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, other));
}

enum how { BY_PRCTL, BY_SYSCALL, BY_SYSCALL_TSYNC, WITHOUT_NO_NEW_PRIVS };

static void install(struct rules *r, enum how how)
{
	struct sock_fprog prog = { .len = r->len, .filter = r->code };
	long ret;

	if (how != WITHOUT_NO_NEW_PRIVS)
		CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (how == BY_PRCTL)
		ret = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
	else
		ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			      how == BY_SYSCALL_TSYNC ? SECCOMP_FILTER_FLAG_TSYNC : 0, &prog);
	if (ret != 0)
		SKIP("seccomp: %s", strerror(errno));
}

/* The calls that malloc may make inside the sandbox, and those that the test needs. */
static void only_mallocs_calls(unsigned int otherwise, enum how how, int may_fork)
{
	static const long always[] = {
		SYS_mmap,  SYS_munmap, SYS_mremap, SYS_mprotect,   SYS_brk,
		SYS_futex, SYS_write,  SYS_exit,   SYS_exit_group, SYS_rt_sigreturn,
	};
	static const long forking[] = {
		SYS_clone,  SYS_wait4,	SYS_rt_sigprocmask, SYS_set_robust_list,
		SYS_gettid, SYS_getpid,
#ifdef SYS_rseq
		SYS_rseq,
#endif
	};
	static const long limits[] = { SYS_prlimit64, SYS_openat, SYS_read, SYS_close };
	struct rules r = { .len = 0 };
	size_t i;

	load_number(&r);
	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		on_call(&r, always[i], SECCOMP_RET_ALLOW);
	for (i = 0; may_fork && i < sizeof(forking) / sizeof(forking[0]); i++)
		on_call(&r, forking[i], SECCOMP_RET_ALLOW);
	/*
	 * A filter that is not announced: hakmem-tuning(7) lists what it has to allow; limits are
	 * read live.
	 */
	for (i = 0; how == WITHOUT_NO_NEW_PRIVS && i < sizeof(limits) / sizeof(limits[0]); i++)
		on_call(&r, limits[i], SECCOMP_RET_ALLOW);
	on_madvise(&r, otherwise);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
	install(&r, how);
}

static void end(void)
{
	_exit(0); /* exit() flushes, and runs code that the filter may forbid */
}

/* -- a filter put on by the program itself ---------------------------------- */

static void filter_denies_19(void)
{
	hard_work();
	only_mallocs_calls(DENY, BY_PRCTL, 0);
	hard_work();
	end();
}

static void filter_says_enosys_19(void)
{
	only_mallocs_calls(NOSYS, BY_SYSCALL, 0);
	hard_work();
	end();
}

static void filter_kills_19(void)
{
	hard_work();
	only_mallocs_calls(KILL, BY_PRCTL, 0);
	hard_work();
	end();
}

/* The filter comes first in the program: no lazily made state exists before. */
static void filter_kills_before_any_malloc_19(void)
{
	only_mallocs_calls(KILL, BY_SYSCALL, 0);
	hard_work();
	end();
}

/* Root needs no NO_NEW_PRIVS, so no prctl announces this filter. */
static void unannounced_filter_kills_19(void)
{
	need_root();
	only_mallocs_calls(KILL, WITHOUT_NO_NEW_PRIVS, 0);
	hard_work();
	end();
}

static void unannounced_filter_denies_19(void)
{
	need_root();
	hard_work();
	only_mallocs_calls(DENY, WITHOUT_NO_NEW_PRIVS, 0);
	hard_work();
	end();
}

static void fork_behind_filter(unsigned int action, enum how how)
{
	size_t i;

	hard_work();
	only_mallocs_calls(action, how, 1);
	for (i = 0; i < 3; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			hard_work();
			_exit(0);
		}
		hard_work();
		reap(pid, "a child behind the filter");
	}
	end();
}

static void fork_behind_a_killing_filter_19(void)
{
	fork_behind_filter(KILL, BY_PRCTL);
}

static void fork_behind_a_denying_filter_19(void)
{
	fork_behind_filter(DENY, BY_SYSCALL);
}

static volatile int go, seen;

static void *works_behind_the_filter(void *arg)
{
	hard_work(); /* glibc looks for the number of processors first */
	__atomic_store_n(&seen, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		free(malloc(100));
	hard_work();
	__atomic_store_n(&seen, 2, __ATOMIC_RELEASE);
	for (;;)
		free(malloc(300));
	return arg;
}

/* TSYNC puts the filter on every thread, the agent included. */
static void filter_on_all_threads_19_20(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, works_behind_the_filter, NULL) == 0);
	while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) < 1)
		sched_yield();
	only_mallocs_calls(KILL, BY_SYSCALL_TSYNC, 0);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) < 2)
		free(malloc(3000));
	hard_work();
	end();
}

/* OpenSSH's sandbox allows six kinds of advice; here none is allowed. */
static void no_madvise_at_all_19(void)
{
	struct rules r = { .len = 0 };

	hard_work();
	load_number(&r);
	on_call(&r, SYS_madvise, DENY);
	on_call(&r, SYS_mremap, DENY);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, BY_PRCTL);
	hard_work();
	{
		size_t n = 4 * MIB, i;

		for (i = 0; i < 10; i++) {
			char *p = malloc(n);

			CHECK(p);
			memset(p, 0xa5, n);
			free(p);
			malloc_trim(0);
			p = calloc(1, n);
			CHECK(p && nonzero_at(p, n) == n);
			free(p);
		}
	}
}

/* The kernel gives no memory any more: NULL and ENOMEM, not a crash. */
static void no_mmap_any_more_19(void)
{
	struct rules r = { .len = 0 };
	void *p[2000];
	size_t i, n = 0;

	hard_work();
	load_number(&r);
	on_call(&r, SYS_mmap, DENY);
	on_call(&r, SYS_mremap, DENY);
	on_call(&r, SYS_munmap, DENY);
	on_call(&r, SYS_mprotect, DENY);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, BY_PRCTL);
	while (n < 2000) {
		errno = 0;
		p[n] = malloc(100 + n * 4000);
		if (!p[n])
			break;
		memset(p[n], 1, 100);
		n++;
	}
	CHECK(n == 2000 || errno == ENOMEM, "errno %d", errno);
	for (i = 0; i < n; i++) {
		errno = 4242;
		free(p[i]);
		CHECK(errno == 4242, "free set errno %d", errno);
	}
	malloc_trim(0);
}

/* -- a filter that was there before the program started --------------------- */

static void inherit(unsigned int action, int no_children)
{
	static const long unusual[] = {
		SYS_memfd_create,
		SYS_ftruncate,
		SYS_fallocate,
		SYS_membarrier,
		440 /* process_madvise */,
		SYS_userfaultfd,
		SYS_sched_setaffinity,
		SYS_sched_getaffinity,
		SYS_getcpu,
		SYS_mlock,
		SYS_mincore,
		SYS_ptrace,
	};
	struct rules r = { .len = 0 };
	size_t i;

	load_number(&r);
	for (i = 0; i < sizeof(unusual) / sizeof(unusual[0]); i++)
		on_call(&r, unusual[i], action);
	for (i = 0; no_children && i < 1; i++) {
		on_call(&r, SYS_clone, action);
#ifdef SYS_vfork
		on_call(&r, SYS_vfork, action);
		on_call(&r, SYS_fork, action);
#endif
		on_call(&r, SYS_clone3, NOSYS);
	}
	on_madvise(&r, action);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, geteuid() == 0 ? WITHOUT_NO_NEW_PRIVS : BY_SYSCALL);
}

static void inherit_deny(void)
{
	inherit(DENY, 0);
}

static void inherit_enosys(void)
{
	inherit(NOSYS, 0);
}

static void inherit_kill(void)
{
	inherit(KILL, 0);
}

static void inherit_kill_thread(void)
{
	inherit(SECCOMP_RET_KILL, 0);
}

static void inherit_trap(void)
{
	inherit(SECCOMP_RET_TRAP, 0);
}

static void inherit_deny_children(void)
{
	inherit(DENY, 1);
}

static void inherit_kill_children(void)
{
	inherit(KILL, 1);
}

/* As in most containers: there is a filter, and it allows all calls. */
static void inherit_allow(void)
{
	struct rules r = { .len = 0 };

	load_number(&r);
	on_call(&r, SYS_ptrace, DENY);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, geteuid() == 0 ? WITHOUT_NO_NEW_PRIVS : BY_SYSCALL);
}

/* systemd's @system-service, under which most services run: allows all but mincore. */
static void inherit_no_mincore(void)
{
	struct rules r = { .len = 0 };

	load_number(&r);
	on_call(&r, SYS_mincore, KILL);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, geteuid() == 0 ? WITHOUT_NO_NEW_PRIVS : BY_SYSCALL);
}

/* The calls with which a purge takes the caches of sleeping threads over; one of them. */
static void inherit_without(long nr, unsigned int action)
{
	struct rules r = { .len = 0 };

	load_number(&r);
	on_call(&r, nr, action);
	emit(&r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	install(&r, geteuid() == 0 ? WITHOUT_NO_NEW_PRIVS : BY_SYSCALL);
}

static void inherit_no_membarrier_kill(void)
{
	inherit_without(SYS_membarrier, KILL);
}

static void inherit_no_membarrier_deny(void)
{
	inherit_without(SYS_membarrier, DENY);
}

static void inherit_no_membarrier_enosys(void)
{
	inherit_without(SYS_membarrier, NOSYS);
}

static void inherit_no_sched_yield(void)
{
	inherit_without(SYS_sched_yield, KILL);
}

static void works_with_a_child(void)
{
	pid_t pid;

	hard_work();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		hard_work();
		_exit(0);
	}
	reap(pid, "the child");
}

static void inherited_filter_no_children_19(void)
{
	hard_work();
}

static void inherited_filter_that_allows_19(void)
{
	int (*purge)(int level, uint64_t *bytes);

	need_hakmem();
	purge = (int (*)(int, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_purge");
	CHECK(mappings_with("memfd:hakmem-stats"), "no segment under a harmless filter");
	works_with_a_child();
	/* counts resident pages, where that is allowed */
	free(malloc(3000000));
	CHECK(purge(3 /* all */, NULL) == 0);
}

/* -- caches of threads that sleep (43) --------------------------------------- */

enum { SLEEPERS_BLOCKS = 64 };

static sem_t asleep, wake;
static void *sleepers_block[SLEEPERS_BLOCKS];

/* Half of the blocks stay in use, half are in its cache. */
static void *sleeps_with_a_full_cache(void *arg)
{
	for (int i = 0; i < SLEEPERS_BLOCKS; i++) {
		CHECK((sleepers_block[i] = malloc(1000)) != NULL);
		fill(sleepers_block[i], 1000, (uint64_t)i);
	}
	for (int i = 0; i < SLEEPERS_BLOCKS; i += 2)
		free(sleepers_block[i]);
	sem_post(&asleep);
	while (sem_wait(&wake))
		;
	for (int i = 1; i < SLEEPERS_BLOCKS; i += 2) {
		check_block(sleepers_block[i], 1000, (uint64_t)i);
		free(sleepers_block[i]);
	}
	hard_work();
	sem_post(&asleep);
	for (;;)
		pause();
	return arg;
}

static uint64_t counter(const char *name)
{
	int (*get)(const char *name, uint64_t *value);
	uint64_t n = 0;

	get = (int (*)(const char *, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_counter");
	CHECK(get && get(name, &n) == 0, "no counter %s", name);
	return n;
}

static pthread_t start_sleeper(void)
{
	pthread_t t;

	CHECK(sem_init(&asleep, 0, 0) == 0 && sem_init(&wake, 0, 0) == 0);
	CHECK(pthread_create(&t, NULL, sleeps_with_a_full_cache, NULL) == 0);
	while (sem_wait(&asleep))
		;
	return t;
}

/* A purge answers, and the thread goes on. */
static void purge_and_wake(int is_taken)
{
	int (*purge)(int level, uint64_t *bytes);
	uint64_t taken = counter("purge.takeovers"), held = counter("purge.held");

	purge = (int (*)(int, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_purge");
	CHECK(purge(3 /* all */, NULL) == 0);
	taken = counter("purge.takeovers") - taken;
	held = counter("purge.held") - held;
	CHECK(taken == (is_taken ? 1 : 0) && held == (is_taken ? 0 : 1),
	      "%lu caches taken over, %lu threads keep theirs", taken, held);
	sem_post(&wake);
	while (sem_wait(&asleep))
		;
}

static void need_counters(void)
{
	const char *config = getenv("HAK_CONFIG");

	need_hakmem();
	if (config && !strstr(config, "control"))
		SKIP("built with --disable-control");
}

static void sleeper_is_taken_over_43(void)
{
	need_counters();
	start_sleeper();
	purge_and_wake(1);
}

static void sleeper_keeps_its_cache_43(void)
{
	need_counters();
	start_sleeper();
	purge_and_wake(0);
}

/* The thread that purges locked itself in; nothing but the calls of malloc is made. */
static void sandboxed_purger_19_43(void)
{
	need_counters();
	hard_work();
	start_sleeper();
	only_mallocs_calls(KILL, BY_PRCTL, 0);
	purge_and_wake(0);
	end();
}

/* -- privileges, roots, /proc (39) ------------------------------------------ */

static void dropped_privileges_39(void)
{
	need_root();
	hard_work();
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	works_with_a_child();
}

static void start_as_nobody(void)
{
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		_exit(CASE_SKIP);
}

/* The new root is an empty folder that has lost its name. */
static void chroot_39(void)
{
	char dir[] = "/tmp/hakmem-root.XXXXXX";

	need_root();
	CHECK(mkdtemp(dir));
	hard_work();
	CHECK(chdir(dir) == 0 && rmdir(dir) == 0);
	CHECK(chroot(".") == 0);
	CHECK(access("/proc", F_OK) != 0);
	works_with_a_child();
}

static void hide_proc(void)
{
	if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
		SKIP("unshare: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) != 0)
		SKIP("mount: %s", strerror(errno));
}

static void without_proc_39(void)
{
	CHECK(access("/proc/self", F_OK) != 0);
	works_with_a_child();
}

static void not_dumpable_39(void)
{
	CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	works_with_a_child();
}

/*
 * The program is started without a vDSO. Every clock is then a system call, as the fine clocks are
 * on machines whose clock is not the processor's counter. The parent traces the program and removes
 * the word that names the vDSO before the first instruction; it ends as the program does.
 */
static void hide_vdso(void)
{
#ifdef __x86_64__
	struct user_regs_struct regs;
	int status, words_of_null = 0;
	pid_t pid = fork();
	unsigned long at, word;

	CHECK(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
			SKIP("ptrace: %s", strerror(errno));
		return; /* to the exec */
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	CHECK(WIFSTOPPED(status) && ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0);
	/* argc; argv, NULL; environment, NULL; pairs */
	for (at = regs.rsp + 8; words_of_null < 2; at += 8)
		words_of_null += !ptrace(PTRACE_PEEKDATA, pid, at, 0);
	for (; (word = (unsigned long)ptrace(PTRACE_PEEKDATA, pid, at, 0)) != AT_NULL; at += 16)
		if (word == AT_SYSINFO_EHDR)
			CHECK(ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE) == 0);
	CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0 && waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
	_exit(WEXITSTATUS(status));
#else
	SKIP("for x86-64 only");
#endif
}

static void kills_without_vdso_19(void)
{
	CHECK(!getauxval(AT_SYSINFO_EHDR));
	filter_kills_19();
}

static void fork_without_vdso_19(void)
{
	CHECK(!getauxval(AT_SYSINFO_EHDR));
	fork_behind_a_killing_filter_19();
}

static const struct tcase cases[] = {
	{ "filter_denies_19", filter_denies_19 },
	{ "filter_denies_agent_19", filter_denies_19, 0, "control.agent=on" },
	{ "filter_says_enosys_19", filter_says_enosys_19 },
	{ "filter_kills_19", filter_kills_19 },
	{ "filter_kills_agent_19", filter_kills_19, 0, "control.agent=on" },
	{ "filter_kills_evict_free_19", filter_kills_19, 0, "region.evict=free" },
	{ "filter_kills_timing_19", filter_kills_19, 0, "stats.timing=on" },
	{ "filter_kills_thp_19", filter_kills_19, 0, "thp.mode=always" },
	{ "filter_kills_before_any_malloc_19", filter_kills_before_any_malloc_19 },
	{ "unannounced_filter_kills_19", unannounced_filter_kills_19 },
	{ "unannounced_filter_denies_19", unannounced_filter_denies_19 },
	{ "fork_behind_a_killing_filter_19", fork_behind_a_killing_filter_19 },
	{ "fork_behind_a_denying_filter_19", fork_behind_a_denying_filter_19 },
	{ "filter_on_all_threads_19_20", filter_on_all_threads_19_20 },
	{ "kills_without_vdso_19", kills_without_vdso_19, 0, NULL, hide_vdso },
	{ "kills_without_vdso_timing_19", kills_without_vdso_19, 0, "stats.timing=on", hide_vdso },
	{ "kills_without_vdso_agent_19", kills_without_vdso_19, 0, "control.agent=on", hide_vdso },
	{ "fork_without_vdso_19", fork_without_vdso_19, 0, NULL, hide_vdso },
	{ "no_madvise_at_all_19", no_madvise_at_all_19 },
	{ "no_madvise_at_all_free_19", no_madvise_at_all_19, 0, "region.evict=free" },
	{ "no_mmap_any_more_19", no_mmap_any_more_19 },
	{ "inherited_filter_denies_19", works_with_a_child, 0, NULL, inherit_deny },
	{ "inherited_filter_says_enosys_19", works_with_a_child, 0, NULL, inherit_enosys },
	{ "inherited_filter_kills_19", works_with_a_child, 0, NULL, inherit_kill },
	{ "inherited_filter_kills_thread_19", works_with_a_child, 0, NULL, inherit_kill_thread },
	{ "inherited_filter_traps_19", works_with_a_child, 0, NULL, inherit_trap },
	{ "inherited_filter_denies_children_19", inherited_filter_no_children_19, 0, NULL,
	  inherit_deny_children },
	{ "inherited_filter_kills_children_19", inherited_filter_no_children_19, 0, NULL,
	  inherit_kill_children },
	{ "inherited_filter_that_allows_19", inherited_filter_that_allows_19, 0, NULL,
	  inherit_allow },
	{ "inherited_filter_without_mincore_19", inherited_filter_that_allows_19, 0, NULL,
	  inherit_no_mincore },
	{ "sleeper_is_taken_over_43", sleeper_is_taken_over_43, 0, "control.agent=off" },
	{ "sleeper_under_a_harmless_filter_43", sleeper_is_taken_over_43, 0, "control.agent=off",
	  inherit_allow },
	{ "no_membarrier_kills_43", sleeper_keeps_its_cache_43, 0, "control.agent=off",
	  inherit_no_membarrier_kill },
	{ "no_membarrier_denies_43", sleeper_keeps_its_cache_43, 0, "control.agent=off",
	  inherit_no_membarrier_deny },
	{ "no_membarrier_enosys_43", sleeper_keeps_its_cache_43, 0, "control.agent=off",
	  inherit_no_membarrier_enosys },
	{ "no_sched_yield_kills_43", sleeper_keeps_its_cache_43, 0, "control.agent=off",
	  inherit_no_sched_yield },
	{ "sandboxed_purger_19_43", sandboxed_purger_19_43, 0, "control.agent=off" },
	{ "dropped_privileges_39", dropped_privileges_39 },
	{ "started_as_nobody_39", works_with_a_child, 0, NULL, start_as_nobody },
	{ "chroot_39", chroot_39 },
	{ "without_proc_39", without_proc_39, 0, NULL, hide_proc },
	{ "not_dumpable_39", not_dumpable_39 },
};

MAIN(cases)
