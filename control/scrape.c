/* SPDX-License-Identifier: MIT */
/* Asks hakmemd for its metrics, see scrape.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/scrape.h"

/* The line that requests a format, without its end. */
static const char *const format_words[] = {
	[HAK_METRICS_OPENMETRICS] = "openmetrics",
	[HAK_METRICS_PROMETHEUS] = "prometheus",
};

int hak_metrics_format_of(const char *word, enum hak_metrics_format *ret)
{
	for (size_t i = 0; i < sizeof(format_words) / sizeof(format_words[0]); i++) {
		if (strcmp(word, format_words[i]) != 0)
			continue;
		*ret = (enum hak_metrics_format)i;
		return 0;
	}
	return -EINVAL;
}

/* Returns 0 when the socket is ready, -ETIMEDOUT or -errno. */
static int await(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = hak_monotonic_ns();
		int r;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((deadline_ns - now) / 1000000) + 1);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int ask(int fd, const char *word, uint64_t deadline_ns)
{
	char line[32];
	size_t bytes = (size_t)snprintf(line, sizeof(line), "%s\n", word), done = 0;

	while (done < bytes) {
		ssize_t n = send(fd, line + done, bytes - done, MSG_NOSIGNAL);
		int r = n < 0 && errno != EINTR && errno != EAGAIN ? -errno : 0;

		done += n > 0 ? (size_t)n : 0;
		if (r == 0 && n < 0)
			r = await(fd, POLLOUT, deadline_ns);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Receives all data into a growing buffer, which belongs to the caller also on failure. */
static int receive(int fd, char **text, size_t *bytes, uint64_t deadline_ns)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (room - *bytes < 4096) {
			char *grown = realloc(*text, room = room ? 2 * room : 65536);

			if (!grown)
				return -ENOMEM;
			*text = grown;
		}
		n = recv(fd, *text + *bytes, room - *bytes - 1, 0);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n == 0) {
			(*text)[*bytes] = '\0';
			return 0;
		}
		if (n < 0) {
			int r = await(fd, POLLIN, deadline_ns);

			if (r < 0)
				return r;
			continue;
		}
		*bytes += (size_t)n;
		if (*bytes > HAK_METRICS_MAX_BYTES)
			return -EFBIG;
	}
}

int hak_metrics_ask(const char *path, enum hak_metrics_format format, uint64_t timeout_ns,
		    char **ret, size_t *ret_bytes, char why[HAK_WHY_TEXT])
{
	uint64_t deadline_ns = hak_monotonic_ns() + timeout_ns;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *text = NULL;
	size_t bytes = 0;
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(why, HAK_WHY_TEXT, "longer than a socket's path may be: %.200s", path);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	if (r == 0)
		r = ask(fd, format_words[format], deadline_ns);
	if (r == 0)
		r = receive(fd, &text, &bytes, deadline_ns);
	if (r == 0 && bytes == 0)
		r = -ECONNRESET;
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		free(text);
		if (r == -ENOENT || r == -ECONNREFUSED)
			snprintf(why, HAK_WHY_TEXT,
				 "hakmemd does not run: no process serves %.200s", path);
		else
			snprintf(why, HAK_WHY_TEXT, "hakmemd, by %.150s: %.100s", path,
				 strerror(-r));
		return r;
	}
	*ret = text;
	*ret_bytes = bytes;
	return 0;
}
