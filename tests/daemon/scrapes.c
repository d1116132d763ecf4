/* SPDX-License-Identifier: MIT */
/*
 * The socket for metrics: a client that asks and does not read shares a text with others, a text
 * that is read is whole, and a client that asks later gets a newer one. When there are too many
 * clients, a user with one keeps it.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "hakmemd/scrapes.h"
#include "tests/check.h"

#if !__GLIBC_PREREQ(2, 33)
#define mallinfo2 mallinfo
#endif

#define TEXT_BYTES (8u << 20)
#define OLD_US	   600000
#define CLIENTS	   4 /* as many as one user may have */

static sd_event *event;
static unsigned made;
static uid_t account; /* of the client that connects */

uid_t hak_account_of_peer(pid_t pid, uid_t uid)
{
	return account;
}

/* The text is its number, repeated. */
static int make(enum hak_metrics_format format, void *arg, char **ret, size_t *ret_bytes)
{
	*ret = malloc(TEXT_BYTES);
	if (!*ret)
		return -ENOMEM;
	memset(*ret, (int)++made, TEXT_BYTES);
	*ret_bytes = TEXT_BYTES;
	return 0;
}

static void serve(void)
{
	while (sd_event_run(event, 0) > 0)
		;
}

static int ask(const char *path, const char *line)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	EXPECT(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	EXPECT(send(fd, line, strlen(line), 0) == (ssize_t)strlen(line), "send");
	serve();
	return fd;
}

/* Returns the number of the text, read to its end; 0: it is not whole, because the machine stood
 * still and the client's time is over. */
static unsigned number_of(int fd)
{
	static unsigned char buf[1 << 16];
	unsigned number = 0;
	size_t bytes = 0;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			if (number && buf[i] != number)
				return 0;
			else
				number = buf[i];
		bytes += n > 0 ? (size_t)n : 0;
		sd_event_run(event, n > 0 ? 0 : 1000);
	}
	close(fd);
	return bytes == TEXT_BYTES ? number : 0;
}

static size_t held(void)
{
	struct mallinfo2 now = mallinfo2();

	return (now.uordblks + now.hblkhd) / TEXT_BYTES;
}

/* All places of one user are taken by clients that read nothing. */
static void check_slow_readers(const char *path)
{
	unsigned numbers[CLIENTS];
	int fd[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		/* Old by then, so that the next client would get a text of its own. */
		fd[i] = ask(path, "openmetrics\n");
		usleep(OLD_US);
	}
	EXPECT(held() <= 2, "%zu texts are kept for %u who do not read", held(), CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		numbers[i] = number_of(fd[i]);
		EXPECT(i == 0 || !numbers[i] || numbers[i] >= numbers[i - 1],
		       "client %u has an older text", i);
	}
}

static unsigned whole(const char *path, const char *line)
{
	unsigned number;

	do {
		number = number_of(ask(path, line));
	} while (!number);
	return number;
}

static void check_newer(const char *path)
{
	unsigned before = whole(path, "openmetrics\n"), now = before;

	while (now == before)
		now = whole(path, "openmetrics\n");
	EXPECT(now > before, "text %u after %u", now, before);
	EXPECT(whole(path, "prometheus\n") > now, "the other format is another text");
}

/* Comes first and is slow, while eight others take all that they may have. */
static void check_crowd(const char *path)
{
	int fd[1 + 8 * CLIENTS], n = 0;
	char c;

	account = 1;
	fd[n++] = ask(path, "open");
	for (account = 2; account < 10; account++)
		for (unsigned i = 0; i < CLIENTS; i++)
			fd[n++] = ask(path, "open");
	EXPECT(recv(fd[0], &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
	       "who has one client loses it to those who have four");
	EXPECT(recv(fd[1], &c, 1, MSG_DONTWAIT) == 0, "none of the others lost one");
	while (n--)
		close(fd[n]);
	serve();
	account = 0;
}

/* An event loop belongs to the process that made it: each case has its own. */
static void with_scrapes(void (*check)(const char *path))
{
	const char *tmp = getenv("HAK_TMP");
	struct hak_scrapes *scrapes;
	char path[100];

	snprintf(path, sizeof(path), "%.80s/metrics", tmp ? tmp : ".");
	CHECK(sd_event_default(&event) >= 0, "an event loop");
	CHECK(hak_scrapes_start(event, path, make, NULL, &scrapes) == 0, "%s", path);
	check(path);
	hak_scrapes_stop(scrapes);
	EXPECT(held() == 0, "%zu texts are left", held());
	sd_event_unref(event);
}

static void slow_readers(void)
{
	with_scrapes(check_slow_readers);
}

static void newer(void)
{
	with_scrapes(check_newer);
}

static void crowd(void)
{
	with_scrapes(check_crowd);
}

static const struct tcase cases[] = {
	{ "slow_readers", slow_readers },
	{ "newer", newer },
	{ "crowd", crowd },
};

CASES(cases)
