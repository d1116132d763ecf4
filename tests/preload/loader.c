// SPDX-License-Identifier: MIT
/*
 * The dynamic loader: plug-ins bound deeply (hazard 25), namespaces, auditors, the library both
 * preloaded and linked or loaded late (26), thread-local storage in bulk, code before all
 * constructors (27), sanitizers and valgrind (29). The plug-ins lie beside this program.
 */
#include "harness.h"

#include <pthread.h>

static char *beside(const char *name)
{
	static __thread char path[4200];

	snprintf(path, sizeof(path), "%s", self_path);
	snprintf(strrchr(path, '/') + 1, 100, "%s", name);
	return path;
}

static void *load(const char *name, int flags)
{
	void *handle = dlopen(beside(name), flags);

	CHECK(handle, "%s", dlerror());
	return handle;
}

static void *need(void *handle, const char *name)
{
	void *at = dlsym(handle, name);

	CHECK(at, "%s", dlerror());
	return at;
}

/* -- before main, before all constructors ----------------------------------- */

static char *early_block;
static int early_ok;

static void before_all_constructors(void)
{
	early_block = strdup("from .preinit_array");
	free(calloc(1, 3000000));
	free(malloc(70000));
	early_ok = early_block != NULL;
}

__attribute__((section(".preinit_array"),
	       used)) static void (*preinit)(void) = before_all_constructors;

/*
 * A resolver runs while the program is being relocated, before ld.so has initialised any TLS. No
 * malloc that keeps a heap in TLS can serve it, so it calls none. The test is that resolvers run.
 */
static int resolved(void)
{
	char *p = malloc(27);
	int n = p ? 27 : 0;

	free(p);
	return n;
}

static int (*resolver(void))(void)
{
	return resolved;
}

int picked_by_ifunc(void) __attribute__((ifunc("resolver")));

static void preinit_array_27(void)
{
	CHECK(early_ok && strcmp(early_block, "from .preinit_array") == 0);
	CHECK(malloc_usable_size(early_block) >= 20);
	early_block = realloc(early_block, 100000);
	CHECK(early_block && strcmp(early_block, "from .preinit_array") == 0);
	free(early_block);
	CHECK(picked_by_ifunc() == 27);
	exercise_all_tiers(1);
}

/* -- RTLD_DEEPBIND ---------------------------------------------------------- */

typedef char *strdup_fn(const char *);
typedef void free_fn(void *);
typedef char *exchange_fn(char *, int);
typedef int leaf_fn(int);
typedef const char *error_fn(void);

static void deepbind_both_ways(int flags)
{
	void *plug = load("plug_deep.so", flags);
	strdup_fn *their_strdup = (strdup_fn *)need(plug, "plug_deep_strdup");
	free_fn *their_free = (free_fn *)need(plug, "plug_deep_free");
	exchange_fn *exchange = (exchange_fn *)need(plug, "plug_deep_exchange");
	int i;

	for (i = 0; i < 2000; i++) {
		char *a = their_strdup("duplicated by the plug-in"), *b = strdup("and by us"), *c;

		CHECK(a && b && strcmp(a, "duplicated by the plug-in") == 0);
		CHECK(malloc_usable_size(a) >= 26);
		free(a);
		their_free(b);
		c = malloc(i % 10 ? 500 : 2000000);
		CHECK(c);
		strcpy(c, "ours");
		c = exchange(c, i);
		CHECK(c);
		if (i % 3 == 0)
			CHECK(strcmp(c, "ours") == 0);
		c = realloc(c, 50);
		free(c);
	}
	dlclose(plug);
}

static void deepbind_25(void)
{
	need_hakmem(); /* under any other preloaded malloc this crashes */
	deepbind_both_ways(RTLD_NOW | RTLD_DEEPBIND);
	deepbind_both_ways(RTLD_LAZY | RTLD_DEEPBIND | RTLD_LOCAL);
	deepbind_both_ways(RTLD_LAZY | RTLD_DEEPBIND | RTLD_GLOBAL);
}

static void no_deepbind(void)
{
	deepbind_both_ways(RTLD_NOW);
	deepbind_both_ways(RTLD_LAZY | RTLD_GLOBAL);
}

/* The leaf is found through the RUNPATH of the object that calls dlopen. */
static void runpath_of_the_caller_25(void)
{
	void *plug = load("plug_deep.so", RTLD_NOW);
	leaf_fn *leaf = (leaf_fn *)need(plug, "plug_deep_leaf");
	error_fn *error = (error_fn *)need(plug, "plug_deep_leaf_error");
	int r;

	CHECK(!dlopen("plug_leaf.so", RTLD_NOW), "found without a search path");
	r = leaf(RTLD_NOW);
	CHECK(r == 42, "%d: %s", r, error());
	r = leaf(RTLD_LAZY | RTLD_DEEPBIND);
	CHECK(r == 42, "with DEEPBIND: %d: %s", r, error());
	dlclose(plug);
	plug = load("plug_deep.so", RTLD_NOW | (on_hakmem() ? RTLD_DEEPBIND : 0));
	leaf = (leaf_fn *)need(plug, "plug_deep_leaf");
	r = leaf(RTLD_NOW | RTLD_DEEPBIND);
	CHECK(r == 42, "from a deeply bound object: %d: %s", r, error());
}

/* dlopen's other duties: NULL, refusals, RTLD_NOLOAD, errors reported once. */
static void dlopen_is_passed_on(void)
{
	void *self = dlopen(NULL, RTLD_NOW), *plug;
	char *message;

	CHECK(self && dlsym(self, "case_name_that_is_not_there") == NULL && dlerror());
	CHECK(!dlopen("/nonexistent/library.so", RTLD_NOW));
	message = dlerror();
	CHECK(message && strstr(message, "/nonexistent/library.so"));
	CHECK(!dlerror());
	CHECK(!dlopen(beside("plug_leaf_does_not_exist.so"), RTLD_NOW | RTLD_DEEPBIND));
	CHECK(dlerror());
	CHECK(!dlopen(beside("plug_tls_gd.so"), RTLD_NOW | RTLD_NOLOAD));
	plug = load("plug_tls_gd.so", RTLD_NOW);
	CHECK(dlopen(beside("plug_tls_gd.so"), RTLD_NOW | RTLD_NOLOAD) == plug);
	dlclose(plug);
	dlclose(plug);
	dlclose(self);
}

static void plug_ins_come_and_go(void)
{
	int i;

	for (i = 0; i < 300; i++) {
		int deep = i % 2 && on_hakmem() ? RTLD_DEEPBIND : 0;
		void *a = load("plug_deep.so", RTLD_NOW | deep);
		void *b = load("plug_tls_gd.so", RTLD_LAZY);
		char *(*touch)(int) = (char *(*)(int))need(b, "plug_tls_touch");
		char *s = ((strdup_fn *)need(a, "plug_deep_strdup"))("left behind");

		CHECK(touch(i)[100] == (char)i);
		dlclose(a);
		CHECK(strcmp(s, "left behind") == 0);
		free(s);
		dlclose(b);
	}
	exercise_all_tiers(1);
}

static void *loads_too(void *arg)
{
	plug_ins_come_and_go();
	return arg;
}

static void threads_load_at_once(void)
{
	pthread_t t[3];
	int i;

	for (i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, loads_too, NULL) == 0);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* -- namespaces, auditors, copies ------------------------------------------- */

/* The other namespace has its own libc and so its own malloc. */
static void another_namespace_26(void)
{
	void *plug = dlmopen(LM_ID_NEWLM, beside("plug_deep.so"), RTLD_NOW);
	strdup_fn *their_strdup;
	free_fn *their_free;
	int i;

	CHECK(plug, "%s", dlerror());
	their_strdup = (strdup_fn *)need(plug, "plug_deep_strdup");
	their_free = (free_fn *)need(plug, "plug_deep_free");
	for (i = 0; i < 1000; i++) {
		char *s = their_strdup("in the other namespace");

		CHECK(s && strcmp(s, "in the other namespace") == 0);
		their_free(s);
		free(malloc(i * 100));
	}
	dlclose(plug);
	exercise_all_tiers(1);
}

/* The library itself is loaded a second time, in a namespace of its own. */
static void second_copy_in_a_namespace_26(void)
{
	const char *lib = library();
	void *copy;
	void *(*their_malloc)(size_t);
	void (*their_free)(void *);
	int i;

	need_hakmem();
	if (!lib)
		SKIP("HAKMEM_LIB does not say where the library is");
	copy = dlmopen(LM_ID_NEWLM, lib, RTLD_NOW);
	if (!copy)
		SKIP("dlmopen: %s", dlerror());
	their_malloc = (void *(*)(size_t))need(copy, "malloc");
	their_free = (void (*)(void *))need(copy, "free");
	CHECK(their_malloc != (void *(*)(size_t))need(RTLD_NEXT, "malloc"));
	for (i = 0; i < 1000; i++) {
		char *p = their_malloc(i * 3000 + 1), *q = malloc(100);

		CHECK(p && q);
		p[i * 3000] = q[99] = 1;
		their_free(p);
		free(q);
	}
	dlclose(copy);
	exercise_all_tiers(1);
}

/* dlopen of a library that is loaded already, by its own name and by a copy's name. */
static void dlopen_of_the_library_26(void)
{
	static char copy[4096], command[9000];
	const char *lib = library(), *tmp = getenv("HAK_TMP");
	size_t segments = mappings_with("memfd:hakmem");
	void *again;
	int i;

	need_hakmem();
	if (!lib)
		SKIP("HAKMEM_LIB does not say where the library is");
	again = dlopen(lib, RTLD_NOW);
	CHECK(again, "%s", dlerror());
	CHECK(dlsym(again, "malloc") == dlsym(RTLD_NEXT, "malloc"));
	for (i = 0; i < 5; i++)
		dlclose(again); /* -z nodelete: the library always stays */
	exercise_all_tiers(1);
	snprintf(copy, sizeof(copy), "%s/libcopy-of-hakmem.so", tmp ? tmp : "/tmp");
	snprintf(command, sizeof(command), "cp '%s' '%s'", lib, copy);
	CHECK(system(command) == 0);
	again = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
	unlink(copy);
	CHECK(again, "%s", dlerror());
	exercise_all_tiers(2);
	dlclose(again);
	exercise_all_tiers(3);
	CHECK(mappings_with("memfd:hakmem") == segments,
	      "the copy made a segment, too: %zu mappings, then %zu", segments,
	      mappings_with("memfd:hakmem"));
}

static void with_auditor(void)
{
	setenv("LD_AUDIT", beside("plug_audit.so"), 1);
}

static void audited_26(void)
{
	plug_ins_come_and_go();
	exercise_all_tiers(1);
	free(strdup("audited"));
}

/*
 * A program at fixed addresses takes malloc's address, so its PLT entry is malloc for all objects.
 * It still runs on the library, and is seen.
 */
static void not_pie_26(void)
{
	static char command[9000];
	const char *lib = library();
	char *program = beside("nopie"), answer[64] = "";
	FILE *f;

	need_hakmem();
	if (!lib || access(program, X_OK) != 0)
		SKIP("no program linked with -no-pie beside this one");
	snprintf(command, sizeof(command), "LD_PRELOAD='%s' '%s'", lib, program);
	f = popen(command, "r");
	CHECK(f && fgets(answer, sizeof(answer), f));
	pclose(f);
	CHECK(strcmp(answer, "usable segment\n") == 0, "it says %s", answer);
}

/* -- thread-local storage --------------------------------------------------- */

enum { TLS_LIBS = 20 };
static char *(*touches[TLS_LIBS])(int);

static char *copy_of(const char *name, int i)
{
	static char path[4200], command[9000];
	const char *tmp = getenv("HAK_TMP");

	snprintf(path, sizeof(path), "%s/%s.%d.%d", tmp ? tmp : "/tmp", name, (int)getpid(), i);
	snprintf(command, sizeof(command), "cp '%s' '%s'", beside(name), path);
	CHECK(system(command) == 0);
	return path;
}

static void *touches_all(void *arg)
{
	int i, seed = (int)(size_t)arg;

	for (i = 0; i < TLS_LIBS; i++) {
		char *area = touches[i](seed + i);

		CHECK(area[0] == (char)(seed + i) && area[65535] == (char)(seed + i));
		exercise_all_tiers(i);
	}
	return NULL;
}

static void twenty_libraries_full_of_tls_27(void)
{
	pthread_t t[4];
	int i;

	for (i = 0; i < TLS_LIBS; i++) {
		char *path = copy_of("plug_tls_gd.so", i);
		void *handle = dlopen(path, RTLD_NOW);

		unlink(path);
		CHECK(handle, "%s", dlerror());
		touches[i] = (char *(*)(int))need(handle, "plug_tls_touch");
	}
	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, touches_all, (void *)(size_t)i) == 0);
	touches_all(NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Returns how many libraries of 64 bytes fit into the surplus of static TLS. */
static int static_tls_libraries(void)
{
	int i;

	for (i = 0; i < 64; i++) {
		char *path = copy_of("plug_tls_ie.so", i);
		void *handle = dlopen(path, RTLD_NOW);

		unlink(path);
		if (!handle)
			break;
		((char *(*)(int))need(handle, "plug_tls_touch"))(i);
	}
	return i;
}

/* Counted here and in a process on libc's malloc: the numbers are the same. */
static void static_tls_surplus_27(void)
{
	static char command[9000];
	int here = static_tls_libraries(), there = -1;
	FILE *f;

	if (getenv("HAKT_TLS_COUNT")) {
		dprintf(1, "count %d\n", here);
		return;
	}
	snprintf(command, sizeof(command),
		 "HAKT_TLS_COUNT=1 LD_PRELOAD= HAK_EXPECT= '%s' --one static_tls_surplus_27",
		 self_path);
	f = popen(command, "r");
	CHECK(f && fscanf(f, "count %d", &there) == 1);
	pclose(f);
	say("# %s: %d libraries, %d on libc's malloc\n", case_name, here, there);
	CHECK(here > 0 && here >= there);
}

/* -- sanitizers, valgrind --------------------------------------------------- */

static int run(const char *format, ...)
{
	static char command[16384];
	va_list ap;
	int status;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	status = system(command);
	CHECK(status != -1, "system: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The sanitizer's own malloc must be the only one in use. */
static void preloaded_onto_asan_29(void)
{
	const char *lib = library();
	char *program = beside("asan");
	int r;

	need_hakmem();
	if (!lib || access(program, X_OK) != 0)
		SKIP("no program built with -fsanitize=address beside this one");
	r = run("LD_PRELOAD='%s' ASAN_OPTIONS=verify_asan_link_order=0 '%s' clean", lib, program);
	CHECK(r == 0, "a clean program ends with %d", r);
	r = run("LD_PRELOAD='%s' ASAN_OPTIONS=verify_asan_link_order=0 '%s' overflow 2>&1 | "
		"grep -q heap-buffer-overflow",
		lib, program);
	CHECK(r == 0, "the sanitizer no longer sees an overflow");
}

static void preloaded_under_valgrind_29(void)
{
	const char *lib = library();
	int r;

	need_hakmem();
	if (!lib || run("command -v valgrind >/dev/null") != 0)
		SKIP("valgrind is not installed");
	if (run("LD_PRELOAD='%s' valgrind -q true 2>&1 | grep -q 'debuginfo reader'", lib) == 0)
		SKIP("this valgrind cannot read the compiler's debug information");
	r = run("LD_PRELOAD='%s' valgrind -q --error-exitcode=9 "
		"'%s' --one valgrind_clean >/dev/null 2>&1",
		lib, beside("loader"));
	CHECK(r == 0, "memcheck, its malloc: ends with %d", r);
	r = run("LD_PRELOAD='%s' valgrind -q --error-exitcode=9 --leak-check=full "
		"'%s' --one valgrind_leak 2>&1 | grep -q 'definitely lost'",
		lib, beside("loader"));
	CHECK(r == 0, "memcheck no longer sees a leak");
	r = run("LD_PRELOAD='%s' valgrind -q --error-exitcode=9 "
		"--soname-synonyms=somalloc=nouserintercepts '%s' --one valgrind_clean "
		">/dev/null 2>&1",
		lib, beside("loader"));
	CHECK(r == 0, "memcheck, our malloc: ends with %d", r);
	r = run("LD_PRELOAD='%s' valgrind -q --tool=none --error-exitcode=9 "
		"'%s' --one valgrind_clean >/dev/null 2>&1",
		lib, beside("loader"));
	CHECK(r == 0, "nulgrind: ends with %d", r);
}

static void *small_work(void *arg)
{
	char *s = strdup("some text");
	size_t i;

	for (i = 1; i < 20; i++) {
		char *p = malloc(i * 1000), *q = calloc(i, 100);

		CHECK(p && q);
		memset(p, 1, i * 1000);
		p = realloc(p, i * 3000);
		CHECK(p && p[i * 1000 - 1] == 1 && q[i * 100 - 1] == 0);
		free(p);
		free(q);
	}
	free(s);
	return arg;
}

static void valgrind_clean(void)
{
	pthread_t t;
	pid_t pid;

	small_work(NULL);
	CHECK(pthread_create(&t, NULL, small_work, NULL) == 0);
	pthread_join(t, NULL);
	pid = fork();
	if (pid == 0) {
		small_work(NULL);
		_exit(0);
	}
	reap(pid, "the child");
}

static void valgrind_leak(void)
{
	char *volatile lost = malloc(12345);

	CHECK(lost);
	lost = NULL;
	small_work(NULL);
}

static const struct tcase cases[] = {
	{ "preinit_array_27", preinit_array_27 },
	{ "deepbind_25", deepbind_25 },
	{ "no_deepbind", no_deepbind },
	{ "runpath_of_the_caller_25", runpath_of_the_caller_25 },
	{ "dlopen_is_passed_on", dlopen_is_passed_on },
	{ "plug_ins_come_and_go", plug_ins_come_and_go },
	{ "threads_load_at_once", threads_load_at_once },
	{ "another_namespace_26", another_namespace_26 },
	{ "second_copy_in_a_namespace_26", second_copy_in_a_namespace_26 },
	{ "dlopen_of_the_library_26", dlopen_of_the_library_26 },
	{ "not_pie_26", not_pie_26 },
	{ "audited_26", audited_26, 0, NULL, with_auditor },
	{ "twenty_libraries_full_of_tls_27", twenty_libraries_full_of_tls_27 },
	{ "static_tls_surplus_27", static_tls_surplus_27 },
	{ "preloaded_onto_asan_29", preloaded_onto_asan_29, 60 },
	{ "preloaded_under_valgrind_29", preloaded_under_valgrind_29, 120 },
	{ "valgrind_clean", valgrind_clean },
	{ "valgrind_leak", valgrind_leak },
};

MAIN(cases)
