// SPDX-License-Identifier: MIT
/*
 * The segment seen from outside: its seals, the owner that it names, which processes have one and
 * which do not, its descriptors, and its fate across fork, raw clone, exec and limits. drop.c tests
 * control.segment=off.
 */
#include "peer.h"

#include "libhakmem/hakmem.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static struct peer p, q;

/* ---- what it is ---- */

static void need_memfd(void)
{
	if (p.by_memory)
		SKIP("only root can open the memfd of the counters");
}

static void is_sealed(void)
{
	char path[64];
	int fd, seals;

	peer_open(&p, getpid());
	need_memfd();
	seals = fcntl(p.stats_fd, F_GET_SEALS);
	CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE)) ==
	      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE));
	seals = fcntl(p.tune_fd, F_GET_SEALS);
	CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) ==
	      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p.stats_fd);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK(ftruncate(fd, 0) < 0 && ftruncate(fd, p.h.file_bytes * 2) < 0);
	CHECK(write(fd, "x", 1) < 0 && errno == EPERM);
	CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
	CHECK(ftruncate(p.tune_fd, 0) < 0);
	poke();
}

static void says_whose_it_is(void)
{
	struct timespec now;
	struct stat st;

	peer_open(&p, getpid());
	CHECK(memcmp(p.h.magic, HAK_STATS_MAGIC, 8) == 0);
	CHECK(memcmp(p.tune->magic, HAK_TUNE_MAGIC, 8) == 0);
	CHECK(p.h.pid == (uint32_t)getpid());
	CHECK(p.h.tune_ino == p.tune_ino && p.tune->stats_ino == p.stats_ino);
	CHECK(p.h.file_bytes <= HAK_STATS_MAX_BYTES);
	CHECK(p.by_memory ||
	      (fstat(p.stats_fd, &st) == 0 && (uint64_t)st.st_size == p.h.file_bytes));
	clock_gettime(CLOCK_BOOTTIME, &now);
	CHECK(p.h.created_ns && p.h.created_ns <= (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec);
	CHECK(p.h.heaps_off + (uint64_t)p.h.heap_stride * p.h.heaps_max <= p.h.file_bytes);
	CHECK(p.h.lazy_off + sizeof(struct hak_lazy_table) <= p.h.heaps_off);
	CHECK(strcmp(p.h.version, HAKMEM(hakmem_version, const char *(*)(void))()) == 0);
}

/* The cost for the process is a few pages, and none for parts that are unused. */
static void takes_few_pages(void)
{
	struct stat st;
	long page = sysconf(_SC_PAGESIZE);

	peer_open(&p, getpid());
	need_memfd();
	CHECK(fstat(p.stats_fd, &st) == 0);
	CHECK(st.st_blocks * 512 <= 12 * page, "%ld pages", (long)st.st_blocks * 512 / page);
	CHECK(fstat(p.tune_fd, &st) == 0 && st.st_blocks * 512 == page);
}

/* There is at most one descriptor: that of the tunables, with the number in the header. */
static void descriptor_keeps_out_of_the_way(void)
{
	struct stat st;
	int found = 0;

	peer_open(&p, getpid());
	for (int fd = 0; fd < 1200; fd++) {
		if (fd == p.stats_fd || fd == p.tune_fd || fstat(fd, &st))
			continue;
		if (st.st_ino != p.stats_ino && st.st_ino != p.tune_ino)
			continue;
		CHECK(fd >= 256 && fd <= 999, "descriptor %d", fd);
		CHECK(fd == p.h.tune_fd && st.st_ino == p.tune_ino, "descriptor %d is %lu", fd,
		      (unsigned long)st.st_ino);
		CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
		found++;
	}
	CHECK(found == 1);
}

/* Readers that may not write need no descriptor. */
static void no_descriptor(void)
{
	struct stat st;

	/* Only root reaches the tune page, by its mapping. */
	CHECK(!peer_try_open(&p, getpid()) || geteuid() == 0);
	CHECK(p.h.pid == (uint32_t)getpid());
	CHECK(p.h.tune_fd == -1, "the header names %d", p.h.tune_fd);
	for (int fd = 0; fd < 1200; fd++)
		CHECK(fd == p.stats_fd || fd == p.tune_fd || fstat(fd, &st) ||
		      (st.st_ino != p.stats_ino && st.st_ino != p.h.tune_ino));
	exercise_all_tiers(1);
}

static void no_descriptor_in_children(void)
{
	pid_t pid;

	no_descriptor();
	peer_close(&p);
	pid = fork();
	if (pid == 0) {
		no_descriptor();
		_exit(0);
	}
	reap(pid, "the child");
}

/* ---- threads ---- */

enum { MANY = 200 };
static pthread_barrier_t barrier;

static void *counts(void *arg)
{
	for (int i = 0; i < 10; i++)
		free(launder(malloc(opaque(100))));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void every_heap_is_published(void)
{
	pthread_t t[MANY];
	uint64_t allocs;

	peer_open(&p, getpid());
	allocs = peer_counter(&p, "class.allocs");
	CHECK(pthread_barrier_init(&barrier, NULL, MANY + 1) == 0);
	for (int i = 0; i < MANY; i++)
		CHECK(pthread_create(&t[i], NULL, counts, NULL) == 0);
	pthread_barrier_wait(&barrier);
	CHECK(peer_counter(&p, "heap.live") == MANY + 1);
	CHECK(peer_counter(&p, "heap.unpublished") == 0);
	CHECK(peer_heaps(&p) >= MANY + 1);
	CHECK(peer_counter(&p, "class.allocs") >= allocs + MANY * 10);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < MANY; i++)
		pthread_join(t[i], NULL);
	CHECK(peer_counter(&p, "heap.live") == 1);
	CHECK(peer_counter(&p, "class.allocs") >= allocs + MANY * 10);
}

static void *churns_and_ends(void *arg)
{
	uint64_t state = (uintptr_t)arg;

	for (int i = 0; i < 400; i++)
		free(launder(malloc(rnd(&state) % (i % 50 ? 3000 : 3000000))));
	return NULL;
}

static void *starts_threads(void *stop)
{
	for (uintptr_t i = 0; !atomic_load((_Atomic int *)stop); i++) {
		pthread_t t;

		CHECK(pthread_create(&t, NULL, churns_and_ends, (void *)i) == 0);
		pthread_join(t, NULL);
	}
	return NULL;
}

/* No counter is ever seen to fall while heaps are born, die and are adopted. */
static void counters_never_fall_33(void)
{
	static uint64_t last[HAK_MAX_COUNTERS];
	static _Atomic int stop;
	pthread_t t[3];
	uint64_t born = 0;

	peer_open(&p, getpid());
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, starts_threads, &stop) == 0);
	for (size_t round = 0; round < scale(60, 3000) || born < 20; round++) {
		for (unsigned i = 0; i < p.h.counters; i++) {
			uint64_t n;

			if (p.counter[i].kind != HAK_KIND_COUNTER)
				continue;
			n = peer_counter(&p, p.counter[i].name);
			CHECK(n >= last[i], "%s fell from %lu to %lu", p.counter[i].name, last[i],
			      n);
			last[i] = n;
		}
		born = peer_counter(&p, "heap.adopted");
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* ---- fork, clone, exec ---- */

static void *kept[64];

static void child_of_fork(int from, int to)
{
	tell(to);
	hear(from);
	for (int i = 0; i < 64; i++)
		free(kept[i]);
	poke();
	tell(to);
	hear(from);
}

static void fork_child_has_its_own(void)
{
	int to, from;
	uint64_t g, parents, in_use;
	pid_t pid;

	peer_open(&p, getpid());
	for (int i = 0; i < 64; i++)
		kept[i] = launder(malloc(1000));
	g = peer_set(&p, "whale.ring_slots", 77);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	g = peer_write(&p, "region.evict_batch", HAK_ORIGIN_POLICY, 1, 3, 1ull << 62);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	parents = peer_counter(&p, "class.allocs");

	pid = subject(child_of_fork, &to, &from);
	hear(from);
	peer_open(&q, pid);
	CHECK(q.stats_ino != p.stats_ino && q.tune_ino != p.tune_ino);
	CHECK(peer_counter(&q, "class.allocs") < 20, "%lu allocations at birth",
	      peer_counter(&q, "class.allocs"));
	CHECK(peer_counter(&q, "whale.allocs") == 0 && peer_counter(&q, "sys.mmap.calls") == 0);
	in_use = peer_counter(&q, "class.inherited");
	CHECK(in_use >= 64, "%lu blocks inherited", in_use);
	CHECK(peer_counter(&q, "mem.mapped") == peer_counter(&p, "mem.mapped"));
	CHECK(peer_counter(&q, "heap.live") == 1 && peer_counter(&q, "control.agent") == 0);

	/* Tunables are inherited, layer by layer, with their deadlines. */
	CHECK(peer_value(&q, "whale.ring_slots") == 77);
	CHECK(peer_ack(&q, "whale.ring_slots").origin == HAK_ORIGIN_ADMIN);
	CHECK(peer_value(&q, "region.evict_batch") == 3);
	CHECK(peer_slot(&q, "region.evict_batch", HAK_ORIGIN_POLICY)->deadline_ns == 1ull << 62);
	CHECK(peer_applied(&q) == q.tune->generation_seq);

	/* From now on the two processes count apart. */
	parents = peer_counter(&p, "class.frees");
	tell(to);
	hear(from);
	CHECK(peer_counter(&p, "class.frees") == parents);
	CHECK(peer_counter(&q, "class.frees") >= 64);
	g = peer_set(&p, "whale.ring_slots", 5);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(peer_value(&q, "whale.ring_slots") == 77);
	tell(to);
	reap(pid, "the child");
}

static void fork_child_closes_only_ours(void)
{
	char path[64], target[64];
	int fds = 0;
	pid_t pid;

	peer_open(&p, getpid());
	peer_close(&p);
	pid = fork();
	if (pid == 0) {
		for (int fd = 3; fd < 1000; fd++) {
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			n = readlink(path, target, sizeof(target) - 1);
			fds += n > 0 && (target[n] = '\0', strstr(target, "memfd:hakmem-") != NULL);
		}
		_exit(fds == 1 ? 0 : 1);
	}
	reap(pid, "a child with one descriptor of ours");
}

/* A copy in which no handlers ran counts, answers and owns nothing of its parent's. */
static void raw_clone_leaves_the_parents_alone(void)
{
	uint64_t allocs, applied, g;
	int status, fds[2];
	pid_t pid;

	peer_open(&p, getpid());
	CHECK(pipe(fds) == 0);
	poke();
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		close(fds[1]);
		hear(fds[0]);
		for (int i = 0; i < 1000; i++)
			free(launder(malloc(opaque(i * 10))));
		poke();
		_exit(0);
	}
	CHECK(pid > 0);
	close(fds[0]);
	allocs = peer_counter(&p, "class.allocs");
	applied = peer_applied(&p);
	g = peer_set(&p, "whale.ring_slots", 6);
	tell(fds[1]);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(peer_counter(&p, "class.allocs") == allocs, "%ld allocations of the copy",
	      (long)(peer_counter(&p, "class.allocs") - allocs));
	CHECK(peer_applied(&p) == applied, "the copy applied what was for its parent");
	WAIT_FOR(poked() && peer_has_applied(&p, g));
}

static void vfork_counts_for_its_parent(void)
{
	pid_t pid;
	int status;

	peer_open(&p, getpid());
	pid = vfork();
	if (pid == 0) {
		free(launder(malloc(opaque(3 << 20))));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	poke();
	CHECK(peer_mapped(getpid(), "/memfd:" HAK_STATS_NAME) == p.stats_ino);
}

/* ---- none ---- */

static void expect_none(void)
{
	char path[64], target[64];

	CHECK(!peer_mapped(getpid(), "/memfd:hakmem-"));
	for (int fd = 0; fd < 1000; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		CHECK(!strstr(target, "memfd:hakmem"), "descriptor %d", fd);
	}
	exercise_all_tiers(1);
	poke();
	CHECK(!peer_mapped(getpid(), "/memfd:hakmem-"));
}

static void file_size_limit(void)
{
	struct rlimit l = { 1 << 20, RLIM_INFINITY };

	setrlimit(RLIMIT_FSIZE, &l);
}

static void one_number(void)
{
	struct rlimit l = { 4, RLIM_INFINITY };

	/* One number is left, which the loader needs and then each memfd in turn. */
	l.rlim_max = 4096;
	close(3);
	setrlimit(RLIMIT_NOFILE, &l);
}

static void no_descriptor_left_for_segment(void)
{
	struct rlimit l = { 1024, 4096 };

	exercise_all_tiers(1);
	CHECK(setrlimit(RLIMIT_NOFILE, &l) == 0);
	no_descriptor();
}

/* ---- kernels and machines that lack something, played by a filter set before the exec ---- */

enum { ANY = -1 };

/* Makes call `nr` fail with `error`, if `arg` is ANY or argument `which` has all bits of `arg`. */
static void refuse(int nr, int which, int arg, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * which),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, arg == ANY ? 0 : arg),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arg == ANY ? 0 : arg, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
		_exit(CASE_SKIP);
}

/* No MFD_NOEXEC_SEAL, no MADV_POPULATE_WRITE (23; no other advice of the library has its bits). */
static void old_kernel(void)
{
	refuse(SYS_memfd_create, 1, 8, EINVAL);
	refuse(SYS_madvise, 2, 23, EINVAL);
}

static void no_file_memory(void)
{
	refuse(SYS_fallocate, 0, ANY, ENOSPC);
}

/* The filter is set without the library's knowledge, because in a sandbox it makes no segment. */
static void fork_without_file_memory(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 0, 3),
		/* One page can be had, the two of a heap's counters cannot. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * 3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)sysconf(_SC_PAGESIZE), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	pid_t pid;

	peer_open(&p, getpid());
	if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0))
		SKIP("seccomp: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		for (int fd = 3; fd < 1000; fd++) {
			struct stat st;

			CHECK(fstat(fd, &st) || fd == p.stats_fd || fd == p.tune_fd ||
			      (st.st_ino != p.stats_ino && st.st_ino != p.tune_ino));
		}
		peer_close(&p);
		CHECK(!peer_mapped(getpid(), "/memfd:hakmem-"));
		exercise_all_tiers(1);
		_exit(0);
	}
	reap(pid, "the child");
	CHECK(peer_mapped(getpid(), "/memfd:" HAK_STATS_NAME) == p.stats_ino);
}

static uint64_t in_use(void)
{
	struct hakmem_stats stats = { .size = sizeof(stats) };

	CHECK(HAKMEM(hakmem_stats, int (*)(struct hakmem_stats *))(&stats) == 0);
	return stats.in_use;
}

/* Without a segment, too, a child counts once what it inherited. */
static void fork_child_without_one(void)
{
	void *block[100], *whale = malloc(3 * MIB);
	uint64_t before;
	pid_t pid;

	for (int i = 0; i < 100; i++)
		block[i] = launder(malloc(opaque(10000)));
	CHECK(whale);
	before = in_use();
	CHECK(before > 4 * 1000 * 1000);
	pid = fork();
	if (pid == 0) {
		CHECK(in_use() == before, "%lu bytes, not %lu", in_use(), before);
		free(launder(whale));
		for (int i = 0; i < 100; i++)
			free(block[i]);
		CHECK(in_use() < 1000 * 1000, "%lu bytes", in_use());
		_exit(0);
	}
	reap(pid, "the child");
	CHECK(in_use() == before);
	free(whale);
}

static void no_noexec_memfds(void)
{
	refuse(SYS_memfd_create, 0, ANY, EACCES);
}

static void no_page_for_new_heaps(void)
{
	refuse(SYS_madvise, 2, 23, ENOMEM);
}

static void no_seals(void)
{
	refuse(SYS_fcntl, 1, F_ADD_SEALS, EPERM);
}

/* The sandbox is the child's, the memory its parent's: nothing changes for the parent. */
static void vfork_child_enters_a_sandbox(void)
{
	pid_t pid;
	int status;

	pid = vfork();
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	every_heap_is_published();
}

/* A copy in which no handlers ran has not noticed yet that it is a copy. */
static void raw_clone_enters_a_sandbox(void)
{
	pthread_t t;
	pid_t pid;
	int status;

	/* The agent stays in the parent. */
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&t, NULL, counts, NULL) == 0);
	pthread_barrier_wait(&barrier);
	peer_open(&p, getpid());
	WAIT_FOR(peer_agent(&p) == 1);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog prog = { .len = 4, .filter = code };

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(2);
		exercise_all_tiers(1);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0, "status %#x", status);
	poke();
	CHECK(peer_mapped(getpid(), "/memfd:" HAK_STATS_NAME) == p.stats_ino &&
	      peer_agent(&p) == 1);
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
}

/* Heaps whose counters cannot be published work as all others do. */
static void heaps_without_pages_work(void)
{
	pthread_t t[MANY];

	CHECK(pthread_barrier_init(&barrier, NULL, MANY + 1) == 0);
	for (int i = 0; i < MANY; i++)
		CHECK(pthread_create(&t[i], NULL, counts, NULL) == 0);
	pthread_barrier_wait(&barrier);
	if (peer_try_open(&p, getpid()))
		CHECK(peer_heaps(&p) < MANY);
	exercise_all_tiers(1);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < MANY; i++)
		pthread_join(t[i], NULL);
	exercise_all_tiers(2);
}

/* ---- descriptors that are the program's by now ---- */

static int number_of(ino_t ino)
{
	struct stat st;

	for (int fd = 256; fd < 1000; fd++)
		if (fstat(fd, &st) == 0 && st.st_ino == ino)
			return fd;
	return -1;
}

static void lock_byte_1(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1 };
	int fd = open(path, O_RDWR);

	CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0);
}

/* Runs a child that finds the program's file under that number, unchanged. */
static void check_in_a_child(int tune)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct stat st;

		CHECK(fstat(tune, &st) == 0 && st.st_size == 7);
		exercise_all_tiers(2);
		_exit(0);
	}
	reap(pid, "a child with the program's files");
}

/* The program has taken the numbers over: its files are left alone, here and in children. */
static void swapped_descriptors_are_left_alone(void)
{
	char path[] = "/tmp/hakmem-swap-XXXXXX", buf[8] = "";
	int file = mkstemp(path), tune;
	uint64_t g;

	CHECK(file >= 0 && write(file, "content", 7) == 7);
	peer_open(&p, getpid());
	tune = number_of(p.tune_ino);
	CHECK(dup2(file, tune) == tune);
	check_in_a_child(tune);
	lock_byte_1(path);
	g = peer_set(&p, "whale.ring_slots", 12);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	exercise_all_tiers(1);
	check_in_a_child(tune);
	CHECK(HAKMEM(hakmem_set, hakmem_set_fn)("control.segment", 0) == 0);
	check_in_a_child(tune);
	CHECK(pread(file, buf, 7, 0) == 7 && memcmp(buf, "content", 7) == 0);
	unlink(path);
}

static void *waker(void *arg)
{
	(void)arg;
	/* Byte 1 is looked at after a controller woke the process. */
	peer_wake(&p);
	for (;;)
		poke();
	return NULL;
}

/*
 * Between the library's fstat and fcntl the number becomes the program's: its file is only asked
 * for locks.
 */
static void swapped_after_fstat_31(void)
{
	struct hak_stops *s = stops_map();
	char path[] = "/tmp/hakmem-swap-XXXXXX", buf[8] = "";
	int file = mkstemp(path), tune;
	struct stat before, after;
	pthread_t t;

	CHECK(file >= 0 && write(file, "content", 7) == 7 && fstat(file, &before) == 0);
	peer_open(&p, getpid());
	tune = number_of(p.tune_ino);
	stop_arm(&s->slot[0], "fd.after_fstat", 0);
	CHECK(pthread_create(&t, NULL, waker, NULL) == 0);
	stop_await(&s->slot[0]);
	CHECK(dup2(file, tune) == tune);
	stop_go(&s->slot[0]);
	stop_arm(&s->slot[1], "fd.after_fstat", 0);
	peer_wake(&p);
	stop_await(&s->slot[1]);
	stop_go(&s->slot[1]);
	CHECK(fstat(file, &after) == 0 && after.st_size == before.st_size &&
	      after.st_blocks == before.st_blocks);
	CHECK(pread(file, buf, 7, 0) == 7 && memcmp(buf, "content", 7) == 0);
	CHECK(fcntl(tune, F_GETFD) == 0);
	unlink(path);
}

/* ---- privileges ---- */

static void other_users_are_kept_out(void)
{
	char path[64];
	pid_t pid;

	need_root();
	peer_open(&p, getpid());
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), number_of(p.tune_ino));
	pid = fork();
	if (pid == 0) {
		CHECK(setresgid(65533, 65533, 65533) == 0 && setresuid(65533, 65533, 65533) == 0);
		CHECK(open(path, O_RDWR) < 0, "nobody opened root's tune page");
		_exit(0);
	}
	reap(pid, "nobody");
}

static const struct tcase cases[] = {
	{ "is_sealed", is_sealed },
	{ "says_whose_it_is", says_whose_it_is },
	{ "takes_few_pages", takes_few_pages },
	{ "descriptor_keeps_out_of_the_way", descriptor_keeps_out_of_the_way },
	{ "control_fd_off", no_descriptor_in_children, 0, "control.fd=off" },
	{ "control_lock_on", no_descriptor_in_children, 0, "control.lock=on" },
	{ "every_heap_is_published", every_heap_is_published, 60 },
	{ "counters_never_fall_33", counters_never_fall_33, 60 },
	{ "fork_child_has_its_own", fork_child_has_its_own },
	{ "fork_child_closes_only_ours", fork_child_closes_only_ours },
	{ "raw_clone_leaves_the_parents_alone_7", raw_clone_leaves_the_parents_alone },
	{ "vfork_counts_for_its_parent", vfork_counts_for_its_parent },
	{ "none_if_told_so", expect_none, 0, "control=off" },
	{ "none_under_a_file_size_limit", expect_none, 0, NULL, file_size_limit },
	{ "hardly_a_descriptor", no_descriptor_left_for_segment, 0, NULL, one_number },
	{ "every_heap_on_an_old_kernel", every_heap_is_published, 60, NULL, old_kernel },
	{ "none_without_file_memory_32", expect_none, 0, NULL, no_file_memory },
	{ "fork_without_file_memory_32", fork_without_file_memory },
	{ "fork_child_without_one", fork_child_without_one, 0, "control.segment=off" },
	{ "none_where_memfds_are_refused_39", expect_none, 0, NULL, no_noexec_memfds },
	{ "none_without_seals", expect_none, 0, NULL, no_seals },
	{ "vfork_child_enters_a_sandbox_7_19", vfork_child_enters_a_sandbox, 60 },
	{ "raw_clone_enters_a_sandbox_7_19", raw_clone_enters_a_sandbox },
	{ "heaps_without_pages_work_32", heaps_without_pages_work, 60, NULL,
	  no_page_for_new_heaps },
	{ "swapped_descriptors_are_left_alone_31", swapped_descriptors_are_left_alone },
	{ "swapped_after_fstat_31", swapped_after_fstat_31, 0, NULL, stops_prepare },
	{ "other_users_are_kept_out", other_users_are_kept_out },
};

CONTROL_MAIN(cases)
