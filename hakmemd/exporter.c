/* SPDX-License-Identifier: MIT */
/*
 * hakmem-exporter serves the metrics of hakmemd over HTTP, for Prometheus. It is a separate
 * program, so that no byte from the network reaches the daemon. It needs no privilege, only the
 * socket of the daemon.
 *
 * One thread serves all connections, whose number is limited. The main thread ends connections on
 * which nothing was answered for a long time, however many bytes arrive on them. When there are
 * many connections, each new one ends the one that has waited longest for its request, among those
 * of the peer that has most of them. A client that sends its request at once is therefore answered
 * at once, however many clients are silent. A request costs the daemon nothing if another one was
 * answered less than a second ago. Only GET and HEAD of /metrics are answered.
 */
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "control/scrape.h"

#define DEFAULT_LISTEN "127.0.0.1:9964"
#define CONNECTIONS    256
#define CROWD	       192   /* beyond this number, each new connection ends an old one */
#define PEERS	       64u   /* the number of classes of peers, by a hash */
#define TIMEOUT_S      2     /* of silence */
#define PATIENCE_S     5     /* to send a request and to read the answer; at most twice that */
#define MEMORY_BYTES   16384 /* of the line and the headers of one request */
#define ASK_NS	       2000000000u
#define FRESH_NS       1000000000u

/* The text of one format, or the reason why there is none, kept for a second. */
struct text {
	struct MHD_Response *response; /* holds one reference; NULL: none */
	uint64_t made_ns, failed_ns;
	char why[HAK_WHY_TEXT];
};

#define FORMATS (HAK_METRICS_PROMETHEUS + 1)
/* The number of texts of a format in memory: the latest one, and one that is still being read.
 * While clients read slowly, other clients that ask for the format get a text that is older than a
 * second. */
#define TEXTS_MAX 2
static unsigned texts[FORMATS];

/* A connection. */
struct place {
	bool taken;
	bool ending; /* was shut down, and will be closed */
	int fd;
	unsigned peer;	   /* the class of the peer, below PEERS */
	uint64_t since_ns; /* when it was opened, or was answered last */
};

struct exporter {
	const char *socket;
	struct text texts[FORMATS];
	uint64_t secret;      /* no peer can choose its class */
	pthread_mutex_t lock; /* guards the places: no descriptor is closed while it is held */
	struct place places[CONNECTIONS];
};

static const char *const content_types[] = {
	[HAK_METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	[HAK_METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
};

/* -- answers ----------------------------------------------------------------------------------- */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static void openmetrics_gone(void *text)
{
	free(text);
	texts[HAK_METRICS_OPENMETRICS]--;
}

static void prometheus_gone(void *text)
{
	free(text);
	texts[HAK_METRICS_PROMETHEUS]--;
}

static void (*const text_gone[FORMATS])(void *text) = {
	[HAK_METRICS_OPENMETRICS] = openmetrics_gone,
	[HAK_METRICS_PROMETHEUS] = prometheus_gone,
};

/* The response in this format, at most a second old; NULL, with the reason, if there is none. */
static struct MHD_Response *fresh(struct exporter *e, enum hak_metrics_format format,
				  char why[HAK_WHY_TEXT])
{
	struct text *t = &e->texts[format];
	uint64_t now = hak_monotonic_ns();
	size_t bytes;
	char *text;

	if (t->response && (now - t->made_ns < FRESH_NS || texts[format] >= TEXTS_MAX))
		return t->response;
	if (t->failed_ns && now - t->failed_ns < FRESH_NS) {
		strcpy(why, t->why);
		return NULL;
	}
	/* The latest text was dropped, and all others are still being read. */
	if (!t->response && texts[format] >= TEXTS_MAX) {
		snprintf(why, HAK_WHY_TEXT, "too many answers are still being read");
		return NULL;
	}
	if (t->response)
		MHD_destroy_response(t->response);
	t->response = NULL;
	if (hak_metrics_ask(e->socket, format, ASK_NS, &text, &bytes, why) < 0) {
		strcpy(t->why, why);
		t->failed_ns = hak_monotonic_ns();
		return NULL;
	}
	texts[format]++;
	t->response =
		MHD_create_response_from_buffer_with_free_callback(bytes, text, text_gone[format]);
	if (!t->response) {
		snprintf(why, HAK_WHY_TEXT, "out of memory");
		text_gone[format](text);
		return NULL;
	}
	MHD_add_response_header(t->response, "Content-Type", content_types[format]);
	t->made_ns = hak_monotonic_ns();
	return t->response;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_bytes, void **context)
{
	enum hak_metrics_format format = HAK_METRICS_PROMETHEUS;
	struct MHD_Response *response;
	char why[HAK_WHY_TEXT];
	const char *accept;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
	if (strcmp(url, "/metrics") != 0)
		return answer(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
	accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
	if (accept && strstr(accept, "application/openmetrics-text"))
		format = HAK_METRICS_OPENMETRICS;
	response = fresh(arg, format, why);
	if (!response) {
		size_t used = strlen(why);

		snprintf(why + used, sizeof(why) - used, "\n");
		return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why);
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

/* -- connections ------------------------------------------------------------------------------- */
/* The class of a peer: one IPv4 address, or one IPv6 network. */
static unsigned peer_of(int fd, uint64_t secret)
{
	struct sockaddr_storage from = { 0 };
	socklen_t bytes = sizeof(from);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&from;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&from;
	uint64_t key = 0;

	if (getpeername(fd, (struct sockaddr *)&from, &bytes) < 0)
		return 0;
	if (from.ss_family == AF_INET)
		key = v4->sin_addr.s_addr;
	else if (from.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		memcpy(&key, v6->sin6_addr.s6_addr + 12, 4);
	else if (from.ss_family == AF_INET6)
		memcpy(&key, v6->sin6_addr.s6_addr, sizeof(key));
	key = (key ^ secret) * 0x9e3779b97f4a7c15u;
	key = (key ^ key >> 32 ^ secret) * 0x9e3779b97f4a7c15u;
	return (unsigned)(key >> 58) % PEERS;
}

/* With the lock held: if there are too many connections, ends one of the peer that has most of
 * them. */
static void make_room(struct exporter *e)
{
	unsigned of_peer[PEERS] = { 0 }, n = 0, most = 0;
	struct place *oldest = NULL;

	for (struct place *p = e->places; p < e->places + CONNECTIONS; p++)
		if (p->taken && !p->ending)
			n++, of_peer[p->peer]++;
	if (n <= CROWD)
		return;
	for (unsigned i = 0; i < PEERS; i++)
		if (of_peer[i] > of_peer[most])
			most = i;
	for (struct place *p = e->places; p < e->places + CONNECTIONS; p++)
		if (p->taken && !p->ending && p->peer == most &&
		    (!oldest || p->since_ns < oldest->since_ns))
			oldest = p;
	oldest->ending = true;
	shutdown(oldest->fd, SHUT_RDWR);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct exporter *e = arg;
	struct place *place = *context;

	pthread_mutex_lock(&e->lock);
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (place)
			place->taken = false;
	} else {
		place = e->places;
		while (place < e->places + CONNECTIONS && place->taken)
			place++;
		if (place < e->places + CONNECTIONS) {
			*place = (struct place){ .taken = true };
			place->fd = MHD_get_connection_info(connection,
							    MHD_CONNECTION_INFO_CONNECTION_FD)
					    ->connect_fd;
			place->since_ns = hak_monotonic_ns();
			place->peer = peer_of(place->fd, e->secret);
			*context = place;
			make_room(e);
		}
	}
	pthread_mutex_unlock(&e->lock);
}

static void on_answered(void *arg, struct MHD_Connection *connection, void **context,
			enum MHD_RequestTerminationCode how)
{
	struct exporter *e = arg;
	struct place *place =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
			->socket_context;

	pthread_mutex_lock(&e->lock);
	if (place)
		place->since_ns = hak_monotonic_ns();
	pthread_mutex_unlock(&e->lock);
}

/* The serving thread notices the shutdown and closes the connections. */
static void end_overdue(struct exporter *e)
{
	uint64_t now = hak_monotonic_ns();

	pthread_mutex_lock(&e->lock);
	for (struct place *p = e->places; p < e->places + CONNECTIONS; p++)
		if (p->taken && now - p->since_ns > PATIENCE_S * 1000000000u)
			shutdown(p->fd, SHUT_RDWR);
	pthread_mutex_unlock(&e->lock);
}

/* libmicrohttpd's messages about single connections are of no use in the journal. */
static void no_log(void *arg, const char *format, va_list args)
{
}

/* -- the socket -------------------------------------------------------------------------------- */
/* Listens at "127.0.0.1:9964", "[::1]:9964" or "localhost:9964". */
static int listen_at(const char *where)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(where, ':');
	struct addrinfo *list;
	char host[256];
	int fd, r = 0;

	if (!colon || colon == where || (size_t)(colon - where) >= sizeof(host))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	if (host[0] == '[' && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)(colon - where) - 2, where + 1);
	if (getaddrinfo(host, colon + 1, &hints, &list) != 0)
		return -EINVAL;
	fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
	    bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		r = -errno;
	freeaddrinfo(list);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* Takes the socket that systemd passed, or opens one. */
static int find_socket(const char *where)
{
	int n = sd_listen_fds(1), fd;

	if (n < 0)
		return n;
	if (n > 1)
		return -E2BIG;
	if (n == 1)
		return sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) > 0
			       ? SD_LISTEN_FDS_START
			       : -ENOTSOCK;
	fd = listen_at(where);
	if (fd == -EINVAL)
		fprintf(stderr, "hakmem-exporter: --listen takes ADDRESS:PORT, not \"%s\"\n",
			where);
	else if (fd < 0)
		fprintf(stderr, "hakmem-exporter: cannot listen on %s: %s\n", where, strerror(-fd));
	return fd;
}

static int serve(struct exporter *e, int fd)
{
	struct MHD_Daemon *daemon;
	const struct timespec patience = { .tv_sec = PATIENCE_S };
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	/* epoll is not used, because with it a client that left in the middle of a request keeps
	 * its place. */
	daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL,
				  on_request, e, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, e,
				  MHD_OPTION_NOTIFY_COMPLETED, on_answered, e,
				  MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
				  (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  (size_t)MEMORY_BYTES, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "hakmem-exporter: the HTTP server does not start\n");
		return 1;
	}
	sd_notify(0, "READY=1");
	while (sigtimedwait(&signals, NULL, &patience) < 0)
		end_overdue(e);
	sd_notify(0, "STOPPING=1");
	/* The socket belongs to systemd, and continues to listen. */
	MHD_quiesce_daemon(daemon);
	MHD_stop_daemon(daemon);
	for (size_t i = 0; i < FORMATS; i++)
		if (e->texts[i].response)
			MHD_destroy_response(e->texts[i].response);
	return 0;
}

static void help(void)
{
	printf("hakmem-exporter [OPTION]...: serve the metrics of hakmemd over HTTP\n\n"
	       "  --listen=ADDRESS:PORT  listen here if systemd passes no socket\n"
	       "                         (default " DEFAULT_LISTEN ")\n"
	       "  --socket=PATH          connect to this socket of hakmemd\n"
	       "                         (default " HAK_METRICS_SOCKET ")\n"
	       "  --help                 print this text\n"
	       "  --version              print the version\n\nSee hakmem-exporter(8).\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL },
	};
	struct exporter e = { .socket = HAK_METRICS_SOCKET, .lock = PTHREAD_MUTEX_INITIALIZER };
	const char *where = DEFAULT_LISTEN;
	int option, fd;

	if (getrandom(&e.secret, sizeof(e.secret), 0) < 0)
		e.secret = hak_monotonic_ns();
	argv[0] = (char[]){ "hakmem-exporter" };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			where = optarg;
			break;
		case 's':
			e.socket = optarg;
			break;
		case 'h':
			help();
			return 0;
		case 'v':
			printf("hakmem-exporter %s\n", PACKAGE_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "hakmem-exporter: expects no arguments, not \"%s\"\n",
			argv[optind]);
		return 2;
	}
	fd = find_socket(where);
	if (fd < 0) {
		if (fd == -E2BIG || fd == -ENOTSOCK)
			fprintf(stderr, "hakmem-exporter: systemd has to pass one listening "
					"stream socket\n");
		return fd == -EINVAL ? 2 : 1;
	}
	return serve(&e, fd);
}
