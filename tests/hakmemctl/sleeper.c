/* SPDX-License-Identifier: MIT */
/*
 * For attach.test: sleeper MODE FILE. Fills and frees memory, prints "ready", and waits in the way
 * of the mode, with a pattern in the registers and in the red zone. The first byte of FILE, which
 * is not 0, ends the modes that spin. Then prints "ok", or what is not as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#define BLOCKS 60000
#define BYTES  1000

static volatile unsigned char *word; /* of FILE */
static volatile sig_atomic_t handled;

static void fail(const char *what, long got, long want)
{
	printf("%s: %ld, not %ld\n", what, got, want);
	fflush(stdout);
	_exit(1);
}

static void check(const char *what, long got, long want)
{
	if (got != want)
		fail(what, got, want);
}

static void churn(void)
{
	static char *block[BLOCKS];

	for (int i = 0; i < BLOCKS; i++) {
		block[i] = malloc(BYTES);
		if (!block[i])
			fail("malloc", errno, 0);
		memset(block[i], i, BYTES);
	}
	for (int i = 0; i < BLOCKS; i++) {
		check("contents", (unsigned char)block[i][BYTES - 1], i & 255);
		free(block[i]);
	}
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

/* -- registers --------------------------------------------------------------------------------- */
struct watch {
	uint64_t nr, arg[6];			   /* 0 */
	uint64_t result;			   /* 56 */
	uint64_t spin;				   /* 64: the address of a byte; 0: a system call */
	uint64_t out[6];			   /* 72: rbx, rbp, r12 to r15 */
	uint64_t zone;				   /* 120: a word of the red zone afterwards */
	_Alignas(32) unsigned char in[16][32];	   /* 128 */
	_Alignas(32) unsigned char vector[16][32]; /* 640 */
};

#define PATTERN 0x5a5a123456789abcull

#if defined(__x86_64__)
/* clang-format off */
__asm__(".text\n"
	".type watched, @function\n"
	"watched:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rdi, %rbx\n"
	"testl %esi, %esi; jz 1f\n"
#define LOAD(n) "vmovdqa 128+32*" #n "(%rbx), %ymm" #n "\n"
	LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7) LOAD(8) LOAD(9) LOAD(10)
	LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15)
	"1:\n"
	"movabs $0x5a5a123456789abc, %rbp\n"
	"mov %rbp, -128(%rsp); mov %rbp, -8(%rsp)\n"
	"lea 1(%rbp), %r12; lea 2(%rbp), %r13; lea 3(%rbp), %r14; lea 4(%rbp), %r15\n"
	"mov 64(%rbx), %rcx; test %rcx, %rcx; jnz 2f\n"
	"mov 8(%rbx), %rdi; mov 16(%rbx), %rsi; mov 24(%rbx), %rdx; mov 32(%rbx), %r10\n"
	"mov 40(%rbx), %r8; mov 48(%rbx), %r9; mov (%rbx), %rax; syscall\n"
	"jmp 3f\n"
	"2: pause; cmpb $0, (%rcx); je 2b\n"
	"xor %eax, %eax\n"
	"3:\n"
	"mov %rax, 56(%rbx)\n"
	"mov %rbx, 72(%rbx); mov %rbp, 80(%rbx); mov %r12, 88(%rbx); mov %r13, 96(%rbx)\n"
	"mov %r14, 104(%rbx); mov %r15, 112(%rbx)\n"
	"mov -128(%rsp), %rax; xor -8(%rsp), %rax; mov %rax, 120(%rbx)\n"
	"cmpb $0, 128(%rbx); je 4f\n"
#define STORE(n) "vmovdqa %ymm" #n ", 640+32*" #n "(%rbx)\n"
	STORE(0) STORE(1) STORE(2) STORE(3) STORE(4) STORE(5) STORE(6) STORE(7) STORE(8) STORE(9)
	STORE(10) STORE(11) STORE(12) STORE(13) STORE(14) STORE(15)
	"vzeroupper\n"
	"4: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");
/* clang-format on */
long watched(struct watch *w, int vectors);

/* A system call, or a loop, in which nothing but its result may change. */
static long wait_watched(struct watch *w)
{
	int vectors = __builtin_cpu_supports("avx");
	sigset_t before, after;

	for (int i = 0; vectors && i < 16; i++)
		memset(w->in[i], 0x11 + i, sizeof(w->in[i]));
	sigprocmask(SIG_BLOCK, NULL, &before);
	watched(w, vectors);
	sigprocmask(SIG_BLOCK, NULL, &after);
	for (int i = 1; i < 64; i++)
		check("signal mask", sigismember(&after, i), sigismember(&before, i));
	check("rbx", (long)w->out[0], (long)w);
	for (int i = 1; i < 6; i++)
		check("register", (long)w->out[i], (long)(PATTERN + (uint64_t)i - 1));
	check("red zone", (long)w->zone, 0);
	check("vectors", memcmp(w->in, w->vector, vectors ? sizeof(w->in) : 0), 0);
	return (long)w->result;
}
#else
static long wait_watched(struct watch *w)
{
	long r;

	while (w->spin && !*word)
		;
	r = w->spin ? 0
		    : syscall((long)w->nr, w->arg[0], w->arg[1], w->arg[2], w->arg[3], w->arg[4],
			      w->arg[5]);
	return r < 0 ? -errno : r;
}
#endif

static long wait_in(long nr, long a, long b, long c, long d, long e)
{
	struct watch w = { .nr = (uint64_t)nr };

	w.arg[0] = (uint64_t)a, w.arg[1] = (uint64_t)b, w.arg[2] = (uint64_t)c;
	w.arg[3] = (uint64_t)d, w.arg[4] = (uint64_t)e;
	say("ready");
	return wait_watched(&w);
}

static void spin(void)
{
	struct watch w = { .spin = (uint64_t)(uintptr_t)word };

	say("ready");
	check("spin", wait_watched(&w), 0);
}

/* -- modes ------------------------------------------------------------------------------------- */
static void handle(int signal)
{
	(void)signal;
	handled = handled + 1;
}

static const struct timespec three = { 3, 0 };

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The whole time passes, although the call was interrupted. */
static void whole(const char *what, uint64_t begun_ns, long got, long want)
{
	check(what, got, want);
	check("the time passed", now_ns() - begun_ns >= 3000000000u, 1);
}

static void mode_nanosleep(void)
{
	uint64_t begun = now_ns();

	whole("nanosleep", begun, wait_in(SYS_nanosleep, (long)&three, 0, 0, 0, 0), 0);
}

static void mode_poll(void)
{
	uint64_t begun = now_ns();
	int ends[2];
	struct pollfd fd;

	check("pipe", pipe(ends), 0);
	fd = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	whole("poll", begun, wait_in(SYS_poll, (long)&fd, 1, 3000, 0, 0), 0);
}

static void mode_futex(void)
{
	static uint32_t futex;
	uint64_t begun = now_ns();

	whole("futex", begun,
	      wait_in(SYS_futex, (long)&futex, FUTEX_WAIT_PRIVATE, 0, (long)&three, 0), -ETIMEDOUT);
}

static void mode_read(void)
{
	char byte;

	check("read", wait_in(SYS_read, 0, (long)&byte, 1, 0, 0), 1);
}

static void mode_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	check("epoll_ctl", epoll_ctl(fd, EPOLL_CTL_ADD, 0, &event), 0);
	check("epoll_wait", wait_in(SYS_epoll_pwait, fd, (long)&event, 1, -1, 0), 1);
}

static void mode_sigwait(void)
{
	uint64_t set = 1ull << (SIGUSR2 - 1);

	check("mask", sigprocmask(SIG_BLOCK, (sigset_t *)&(sigset_t){ { set } }, NULL), 0);
	check("sigtimedwait", wait_in(SYS_rt_sigtimedwait, (long)&set, 0, 0, 8, 0), SIGUSR2);
}

/* A signal handler interrupts the call after a purge as before it. */
static void mode_handler(void)
{
	const struct sigaction catch = { .sa_handler = handle };
	char byte;

	sigaction(SIGUSR1, &catch, NULL);
	check("read", wait_in(SYS_read, 0, (long)&byte, 1, 0, 0), -EINTR);
	check("handlers", handled, 1);
}

/* The mask during the call is not that of the thread. */
static void mode_ppoll(void)
{
	const struct sigaction catch = { .sa_handler = handle };
	uint64_t none = 0, usr1 = 1ull << (SIGUSR1 - 1);

	sigaction(SIGUSR1, &catch, NULL);
	sigprocmask(SIG_BLOCK, (sigset_t *)&(sigset_t){ { usr1 } }, NULL);
	check("ppoll", wait_in(SYS_ppoll, 0, 0, 0, (long)&none, 8), -EINTR);
	check("handlers", handled, 1);
}

static void *sleep_on(void *unused)
{
	free(malloc(100));
	while (!*word)
		syscall(SYS_nanosleep, &(struct timespec){ 0, 10000000 }, NULL);
	return unused;
}

static void mode_threads(void)
{
	pthread_t other[3];

	for (int i = 0; i < 3; i++)
		check("pthread_create", pthread_create(&other[i], NULL, sleep_on, NULL), 0);
	mode_read();
	for (int i = 0; i < 3; i++)
		check("pthread_join", pthread_join(other[i], NULL), 0);
}

static void mode_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { 1, &allow };

	check("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	/* not by prctl(), of which the library would be told */
	check("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), 0);
	mode_read();
}

/* A critical section of rseq(2) that begins again when the kernel aborts it. */
#if defined(__x86_64__) && __has_include(<sys/rseq.h>)
static void mode_section(void)
{
	static struct rseq_cs section;
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	say(__rseq_size ? "ready" : "no rseq");
	__asm__ volatile("lea 2f(%%rip), %%rax; mov %%rax, 8(%0)\n"
			 "lea 3f(%%rip), %%rcx; sub %%rax, %%rcx; mov %%rcx, 16(%0)\n"
			 "lea 4f(%%rip), %%rax; mov %%rax, 24(%0)\n"
			 "1: mov %0, 8(%1)\n"
			 "2: pause; cmpb $0, (%2); je 2b\n"
			 "3: jmp 5f\n"
			 ".byte 0x0f, 0xb9, 0x3d; .long 0x53053053\n"
			 "4: jmp 1b\n"
			 "5:\n"
			 :
			 : "r"(&section), "r"(area), "r"(word)
			 : "rax", "rcx", "memory", "cc");
}
#else
static void mode_section(void)
{
	say("no rseq");
}
#endif

/* The test holds the thread at a stop within malloc. */
static void mode_inside(void)
{
	say("ready");
	while (!*word)
		;
	for (int i = 0; i < 100; i++)
		free(malloc((size_t)20000 + (size_t)i * 5000));
	churn();
}

static void on_stack(int signal)
{
	(void)signal;
	mode_read();
}

static void mode_altstack(void)
{
	const struct sigaction catch = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_size = 256 << 10 };

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	check("sigaltstack", sigaltstack(&stack, NULL), 0);
	sigaction(SIGUSR1, &catch, NULL);
	raise(SIGUSR1);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "nanosleep", mode_nanosleep }, { "poll", mode_poll },	      { "futex", mode_futex },
	{ "read", mode_read },		 { "epoll", mode_epoll },     { "sigwait", mode_sigwait },
	{ "handler", mode_handler },	 { "ppoll", mode_ppoll },     { "spin", spin },
	{ "threads", mode_threads },	 { "seccomp", mode_seccomp }, { "inside", mode_inside },
	{ "altstack", mode_altstack },	 { "section", mode_section },
};

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;

	word = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	if (fd < 0 || word == MAP_FAILED)
		return 2;
	churn();
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]) != 0)
			continue;
		modes[i].run();
		churn();
		say("ok");
		return 0;
	}
	return 2;
}
