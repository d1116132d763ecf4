/* SPDX-License-Identifier: MIT */
/*
 * The socket on which clients request metrics, see scrapes.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "hakmemd/process.h"
#include "hakmemd/scrapes.h"

#define CLIENTS_MAX	32
#define CLIENTS_OF_USER 4
#define CLIENT_US	5000000
#define LINE_BYTES	32
#define FORMATS		(HAK_METRICS_PROMETHEUS + 1)
#define FRESH_NS	500000000u
#define TEXTS_MAX	2 /* of one format: the latest one, and one that is still being read */

/* The text for all clients that request a format at about the same time. */
struct text {
	char *bytes;
	size_t n;
	unsigned users; /* clients, and one for the latest text */
	uint64_t made_ns;
	enum hak_metrics_format format;
};

struct client {
	struct hak_scrapes *scrapes;
	int fd;		   /* -1: this place is free */
	uid_t account;	   /* see hak_account() */
	uint64_t since_ns; /* when the client connected */
	sd_event_source *io, *timer;
	char line[LINE_BYTES];
	size_t line_bytes;
	struct text *text; /* NULL until the line has arrived */
	size_t sent;
};

struct hak_scrapes {
	sd_event *event;
	sd_event_source *accept;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	hak_scrape_text *text;
	void *arg;
	unsigned busy;
	struct text *latest[FORMATS]; /* NULL: none yet */
	unsigned texts[FORMATS];      /* the number of texts */
	struct client clients[CLIENTS_MAX];
};

/* -- texts ------------------------------------------------------------------------------------- */
static void text_leave(struct hak_scrapes *s, struct text *t)
{
	if (!t || --t->users)
		return;
	s->texts[t->format]--;
	free(t->bytes);
	free(t);
}

static int text_make(struct hak_scrapes *s, enum hak_metrics_format format)
{
	struct text *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = s->text(format, s->arg, &t->bytes, &t->n);
	if (r < 0) {
		free(t);
		return r;
	}
	t->made_ns = hak_monotonic_ns();
	t->format = format;
	t->users = 1;
	text_leave(s, s->latest[format]);
	s->latest[format] = t;
	s->texts[format]++;
	return 0;
}

/* Returns the latest text, and makes a new one if that is old. No new text is made while there are
 * TEXTS_MAX of them: each client has a time limit, and the next client gets a newer text. */
static int text_enter(struct hak_scrapes *s, enum hak_metrics_format format, struct text **ret)
{
	struct text *t = s->latest[format];
	int r;

	if (!t || (hak_monotonic_ns() - t->made_ns >= FRESH_NS &&
		   (t->users == 1 || s->texts[format] < TEXTS_MAX))) {
		r = text_make(s, format);
		if (r < 0)
			return r;
	}
	*ret = s->latest[format];
	(*ret)->users++;
	return 0;
}

/* -- one client -------------------------------------------------------------------------------- */
static void client_end(struct client *c)
{
	struct hak_scrapes *s = c->scrapes;

	c->io = sd_event_source_disable_unref(c->io);
	c->timer = sd_event_source_disable_unref(c->timer);
	close(c->fd);
	text_leave(s, c->text);
	*c = (struct client){ .scrapes = s, .fd = -1 };
	s->busy--;
}

/* 0: continue when there is room; 1: all is sent; -errno. */
static int client_send(struct client *c)
{
	while (c->sent < c->text->n) {
		ssize_t n =
			send(c->fd, c->text->bytes + c->sent, c->text->n - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->sent += (size_t)n;
	}
	return 1;
}

/* 0: the line is not complete; 1: it is complete, and there is a text; -errno. */
static int client_receive(struct client *c)
{
	enum hak_metrics_format format;
	ssize_t n = recv(c->fd, c->line + c->line_bytes, LINE_BYTES - 1 - c->line_bytes, 0);
	char *end;
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	c->line_bytes += (size_t)n;
	c->line[c->line_bytes] = '\0';
	end = strchr(c->line, '\n');
	if (!end)
		return c->line_bytes == LINE_BYTES - 1 ? -EPROTO : 0;
	*end = '\0';
	r = hak_metrics_format_of(c->line, &format);
	if (r == 0)
		r = text_enter(c->scrapes, format, &c->text);
	return r < 0 ? r : 1;
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct client *c = arg;
	int r = 1;

	if (!c->text) {
		r = client_receive(c);
		if (r == 1)
			sd_event_source_set_io_events(c->io, EPOLLOUT);
	}
	if (r == 1)
		r = client_send(c);
	if (r != 0)
		client_end(c);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
	client_end(arg);
	return 0;
}

/* -- the socket -------------------------------------------------------------------------------- */
static unsigned clients_of(const struct hak_scrapes *s, uid_t account)
{
	unsigned n = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		n += s->clients[i].fd >= 0 && s->clients[i].account == account;
	return n;
}

/* Whether a client is accepted. No user can keep the clients of another user from being served. */
static bool may_come(const struct hak_scrapes *s, int fd, uid_t *ret_account)
{
	struct ucred who = { .uid = (uid_t)-1 };

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &(socklen_t){ sizeof(who) }) < 0)
		return false;
	*ret_account = hak_account_of_peer(who.pid, who.uid);
	return clients_of(s, *ret_account) < CLIENTS_OF_USER;
}

/* Some user has too many clients. Of the users with most clients, the client that connected first
 * is dropped. Root's clients are not dropped. */
static void make_room(struct hak_scrapes *s)
{
	struct client *goes = NULL;
	unsigned most = 0;

	for (struct client *c = s->clients; c < s->clients + CLIENTS_MAX; c++) {
		unsigned n = c->fd >= 0 && c->account ? clients_of(s, c->account) : 0;

		if (n > most || (n && n == most && c->since_ns < goes->since_ns)) {
			most = n;
			goes = c;
		}
	}
	if (s->busy == CLIENTS_MAX && goes)
		client_end(goes);
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct hak_scrapes *s = arg;
	struct client *c = s->clients;
	int client = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t account;

	if (client < 0)
		return 0;
	if (!may_come(s, client, &account)) {
		close(client);
		return 0;
	}
	make_room(s);
	while (c < s->clients + CLIENTS_MAX && c->fd >= 0)
		c++;
	if (c == s->clients + CLIENTS_MAX) {
		close(client);
		return 0;
	}
	c->fd = client;
	c->account = account;
	c->since_ns = hak_monotonic_ns();
	s->busy++;
	if (sd_event_add_io(s->event, &c->io, client, EPOLLIN, on_client, c) < 0 ||
	    sd_event_source_set_priority(c->io, HAK_QUESTIONS_PRIORITY) < 0 ||
	    sd_event_add_time_relative(s->event, &c->timer, CLOCK_MONOTONIC, CLIENT_US, 0, on_time,
				       c) < 0)
		client_end(c);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
	mode_t mask;

	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, path);
	unlink(path);
	/* bind() creates the file with the mode of the descriptor, so the path is not looked up
	 * again. */
	mask = umask(0);
	if (fchmod(fd, 0666) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		r = -errno;
	umask(mask);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

int hak_scrapes_start(sd_event *event, const char *path, hak_scrape_text *text, void *arg,
		      struct hak_scrapes **ret)
{
	struct hak_scrapes *s;
	int r;

	if (strlen(path) >= sizeof(s->path))
		return -ENAMETOOLONG;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s->clients[i] = (struct client){ .scrapes = s, .fd = -1 };
	strcpy(s->path, path);
	s->text = text;
	s->arg = arg;
	s->event = sd_event_ref(event);
	s->fd = r = listen_at(path);
	if (r >= 0)
		r = sd_event_add_io(event, &s->accept, s->fd, EPOLLIN, on_accept, s);
	if (r >= 0)
		r = sd_event_source_set_priority(s->accept, HAK_QUESTIONS_PRIORITY);
	if (r < 0) {
		sd_event_source_disable_unref(s->accept);
		if (s->fd >= 0)
			close(s->fd);
		sd_event_unref(s->event);
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void hak_scrapes_stop(struct hak_scrapes *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			client_end(&s->clients[i]);
	for (size_t i = 0; i < FORMATS; i++)
		text_leave(s, s->latest[i]);
	sd_event_source_disable_unref(s->accept);
	close(s->fd);
	unlink(s->path);
	sd_event_unref(s->event);
	free(s);
}
