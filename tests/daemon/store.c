// SPDX-License-Identifier: MIT
/*
 * hakmemd/store.c: what comes back is the last save that is whole, after any number of restarts,
 * and whatever happened to the memfd meanwhile. A restart is played as systemd does it: the
 * descriptor comes as number 3 with its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hakmemd/store.h"
#include "tests/check.h"

#define SLOT_BYTES (1u << 28)
#define HEAD_BYTES 32

static void put(FILE *to, void *arg)
{
	fputs(arg, to);
}

static void put_nothing(FILE *to, void *arg)
{
}

static struct hak_store *begin(const char *names, char **ret_text)
{
	struct hak_store *store = NULL;
	char pid[16];

	*ret_text = NULL;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", names ? "1" : "0", 1);
	setenv("LISTEN_FDNAMES", names ? names : "", 1);
	EXPECT(hak_store_open("test-sums", &store, ret_text) == 0, "opens");
	return store;
}

/* Descriptors below this are taken, or are not the store's. */
#define OURS 10

/* Made by the store before the first case. All cases share its contents. */
static int memfd;

static int find_memfd(void)
{
	for (int fd = OURS; fd < 2 * OURS; fd++)
		if (fcntl(fd, F_GET_SEALS) >= 0)
			return dup(fd);
	return -1;
}

/* Checks what a daemon finds that is started on a copy of the memfd, which stored(3) closes. */
static void expect(const char *want, const char *when)
{
	struct hak_store *store;
	char *text;

	dup2(memfd, 3);
	store = begin("test-sums", &text);
	if (want)
		EXPECT(text && strcmp(text, want) == 0, "%s: \"%s\", not \"%s\"", when,
		       text ? text : "nothing", want);
	else
		EXPECT(!text, "%s: \"%s\"", when, text ? text : "");
	free(text);
	hak_store_close(store);
}

static void save(const char *text)
{
	struct hak_store *store;
	char *old;

	dup2(memfd, 3);
	store = begin("test-sums", &old);
	free(old);
	EXPECT(hak_store_save(store, put, (char *)text) == 0, "saves");
	hak_store_close(store);
}

/* Either slot may be the newer one, and the one that is found first. */
static void restarts(void)
{
	char text[32];

	for (unsigned i = 0; i < 8; i++) {
		struct hak_store *store;
		char *old;

		dup2(memfd, 3);
		store = begin("test-sums", &old);
		free(old);
		for (unsigned k = 0; k <= i % 3; k++) {
			snprintf(text, sizeof(text), "run %u save %u", i, k);
			EXPECT(hak_store_save(store, put, text) == 0, "saves");
		}
		hak_store_close(store);
		expect(text, "after a restart");
	}
}

static void damage(const char *newest, off_t at)
{
	char byte;

	for (unsigned slot = 0; slot < 2; slot++) {
		off_t place = (off_t)slot * SLOT_BYTES;
		char text[16] = "";

		pread(memfd, text, strlen(newest), place + HEAD_BYTES);
		if (strcmp(text, newest) != 0)
			continue;
		EXPECT(pread(memfd, &byte, 1, place + at) == 1, "reads");
		byte ^= 4;
		EXPECT(pwrite(memfd, &byte, 1, place + at) == 1, "writes");
	}
}

/* A slot that is damaged, or was being written when the daemon died, leaves the one before. */
static void damaged_copies(void)
{
	for (off_t at = 0; at < HEAD_BYTES + 3; at++) {
		char when[32];

		save("before");
		save("newest");
		expect("newest", "whole");
		damage("newest", at);
		snprintf(when, sizeof(when), "byte %d", (int)at);
		/* Bits that leave the number higher and in its slot do no harm. */
		expect(at >= 8 && at < 16 ? "newest" : "before", when);
		EXPECT(ftruncate(memfd, 0) == 0, "truncates");
	}
	expect(NULL, "empty");
	save("one");
	expect("one", "one slot");
	save("two");
	EXPECT(ftruncate(memfd, HEAD_BYTES + 1) == 0, "truncates");
	expect(NULL, "cut off");
}

/* A head that promises more bytes than there are. */
static void forged_length(void)
{
	uint64_t bytes = (SLOT_BYTES >> 1) + 1;

	EXPECT(ftruncate(memfd, 0) == 0, "truncates");
	save("one");
	EXPECT(pwrite(memfd, &bytes, sizeof(bytes), SLOT_BYTES + 16) == sizeof(bytes), "writes");
	expect(NULL, "forged");
}

/* Without room for more the old content stays, and saving works again when there is room. */
static void no_room(void)
{
	struct rlimit limit, small;
	struct hak_store *store;
	char *text;

	EXPECT(ftruncate(memfd, 0) == 0, "truncates");
	save("one");
	save("two");
	dup2(memfd, 3);
	store = begin("test-sums", &text);
	EXPECT(text && strcmp(text, "two") == 0, "two is there");
	free(text);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	small = limit;
	small.rlim_cur = SLOT_BYTES;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 2; i++)
		EXPECT(hak_store_save(store, put, (char[]){ "three" }) == -EFBIG, "no room: %d", i);
	setrlimit(RLIMIT_FSIZE, &limit);
	hak_store_close(store);
	expect("two", "no room for three");
	save("three");
	expect("three", "room again");
}

/* Writes a text of the given length; "x" repeated. */
static void put_many(FILE *to, void *arg)
{
	for (size_t i = 0; i < *(size_t *)arg; i++)
		putc('x', to);
}

/* A long text takes memory until two short ones were saved. */
static void room_given_back(void)
{
	struct hak_store *store;
	size_t bytes[] = { 4u << 20, 4u << 20, 10, 10 };
	struct stat st;
	char *text;

	dup2(memfd, 3);
	store = begin("test-sums", &text);
	free(text);
	for (unsigned i = 0; i < 4; i++)
		EXPECT(hak_store_save(store, put_many, &bytes[i]) == 0, "saves");
	hak_store_close(store);
	EXPECT(fstat(memfd, &st) == 0 && st.st_blocks * 512 <= 1 << 17, "%llu bytes are held",
	       (unsigned long long)st.st_blocks * 512);
	expect("xxxxxxxxxx", "a short text");
}

static void not_ours(void)
{
	struct hak_store *store;
	char *text, old[] = "text";

	save("ours");
	dup2(memfd, 3);
	store = begin("other", &text);
	EXPECT(!text, "another name's");
	hak_store_close(store);
	dup2(open("/proc/self", O_RDONLY | O_DIRECTORY), 3);
	store = begin("test-sums", &text);
	EXPECT(!text && hak_store_save(store, put, old) == 0, "a folder");
	hak_store_close(store);
}

static const struct tcase cases[] = {
	{ "restarts", restarts },
	{ "damaged_copies", damaged_copies },
	{ "forged_length", forged_length },
	{ "no_room", no_room },
	{ "room_given_back", room_given_back },
	{ "not_ours", not_ours },
};

int main(int argc, char **argv)
{
	struct hak_store *store;
	char *text;
	int other;

	while ((other = open("/dev/null", O_RDONLY | O_CLOEXEC)) < OURS)
		CHECK(other >= 0, "opens");
	store = begin(NULL, &text);
	CHECK(store && !text, "nothing is stored at first");
	memfd = find_memfd();
	CHECK(memfd >= 0, "no memfd");
	CHECK(hak_store_save(store, put_nothing, NULL) == 0, "saves nothing");
	hak_store_close(store);
	expect("", "an empty text");
	return RUN(argc, argv, cases);
}
