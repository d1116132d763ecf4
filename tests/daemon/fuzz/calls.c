/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's target for D-Bus calls: the input chooses object, interface, method, signature and
 * arguments of one call. All of hakmemd but main() receives the call from a bus that a second
 * thread plays, about a process that is this one with a fabricated segment. Each call must be
 * answered. Run by tests/daemon/fuzz.test.
 *
 * The input: object, interface, member, caller, one byte each; a signature up to a zero byte, or an
 * empty one for the method's own; then the bytes from which the arguments are made.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "hakmemd/bus.h"
#include "hakmemd/journal.h"
#include "hakmemd/look.h"
#include "hakmemd/manager.h"
#include "tests/control/fake.h"

#define COMM	    "hakmem-fuzz"
#define DEPTH_MAX   8
#define ITEMS_MAX   64
#define CONNECTIONS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *p;
	size_t n;
};

/* Shared by the two threads. `post` is written when `input` is new, `answered` by the answer. */
static struct {
	int listening, post, answered;
	char address[64], path[HAK_BUS_PATH_BYTES];
	struct bytes input;
	bool polkit_grants;
} shared;

static struct hak_manager *manager;
static struct fake fake;

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

/* -- a message made of bytes ------------------------------------------------------------------- */
static uint8_t next(struct bytes *b)
{
	return b->n ? (b->n--, *b->p++) : 0;
}

static uint64_t next_number(struct bytes *b)
{
	static const uint64_t odd[] = { 0, 1, UINT64_MAX, UINT64_MAX / 2000, INT64_MAX, 1u << 31 };
	uint8_t how = next(b);
	uint64_t number = 0;

	if (how < sizeof(odd) / sizeof(odd[0]))
		return odd[how];
	for (unsigned i = 0; i < how % 9; i++)
		number = number << 8 | next(b);
	return number;
}

/* Up to a zero byte. The bus carries UTF-8 only, so the eighth bit is dropped. */
static char *next_text(struct bytes *b)
{
	char *text = malloc(b->n + 1);
	size_t n = 0;
	uint8_t c;

	MUST(text);
	while (b->n && (c = next(b)))
		text[n++] = c & 0x7f ? (char)(c & 0x7f) : ' ';
	text[n] = '\0';
	return text;
}

static int append(sd_bus_message *m, const char *signature, size_t length, struct bytes *b,
		  unsigned depth);

/* Returns the bytes of the first complete type of a signature; 0 if there is none. */
static size_t type_length(const char *s, size_t left)
{
	size_t n = 0;
	int open = 0;

	if (!left)
		return 0;
	while (n < left && s[n] == 'a')
		n++;
	do {
		if (n >= left)
			return 0;
		open += s[n] == '(' || s[n] == '{';
		open -= s[n] == ')' || s[n] == '}';
		n++;
	} while (open > 0);
	return n;
}

static int append_array(sd_bus_message *m, const char *element, size_t length, struct bytes *b,
			unsigned depth)
{
	unsigned items = next(b) % ITEMS_MAX;
	char type[256];
	int r;

	snprintf(type, sizeof(type), "%.*s", (int)length, element);
	r = sd_bus_message_open_container(m, 'a', type);
	while (r >= 0 && items--)
		r = append(m, element, length, b, depth + 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_struct(sd_bus_message *m, const char *s, size_t length, struct bytes *b,
			 unsigned depth)
{
	char type[256];
	int r;

	snprintf(type, sizeof(type), "%.*s", (int)length - 2, s + 1);
	r = sd_bus_message_open_container(m, *s == '(' ? 'r' : 'e', type);
	if (r >= 0)
		r = append(m, s + 1, length - 2, b, depth + 1);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_basic(sd_bus_message *m, char type, struct bytes *b)
{
	uint64_t number;
	char *text;
	int r, flag;

	if (!strchr("sogybnqiuxtd", type))
		return -EINVAL;
	if (strchr("sog", type)) {
		text = next_text(b);
		r = sd_bus_message_append_basic(m, type, text);
		free(text);
		return r;
	}
	number = next_number(b);
	flag = (int)(number & 1);
	return sd_bus_message_append_basic(m, type, type == 'b' ? (void *)&flag : &number);
}

/* Appends all complete types of the signature. */
static int append(sd_bus_message *m, const char *s, size_t length, struct bytes *b, unsigned depth)
{
	int r = depth > DEPTH_MAX ? -EINVAL : 0;
	size_t n;

	while (r >= 0 && length) {
		n = type_length(s, length);
		if (n == 0)
			return -EINVAL;
		if (*s == 'a')
			r = append_array(m, s + 1, n - 1, b, depth);
		else if (*s == '(' || *s == '{')
			r = append_struct(m, s, n, b, depth);
		else
			r = append_basic(m, *s, b);
		s += n, length -= n;
	}
	return r;
}

/* -- the call ---------------------------------------------------------------------------------- */
struct known {
	const char *interface, *member, *signature;
};

static const struct known known[] = {
	{ HAK_BUS_MANAGER, "ListProcesses", "s" },
	{ HAK_BUS_MANAGER, "GetProcess", "u" },
	{ HAK_BUS_MANAGER, "ListPolicies", "" },
	{ HAK_BUS_MANAGER, "ShowPolicy", "s" },
	{ HAK_BUS_MANAGER, "Reload", "" },
	{ HAK_BUS_PROCESS, "GetCounters", "" },
	{ HAK_BUS_PROCESS, "Describe", "s" },
	{ HAK_BUS_PROCESS, "Set", "sst" },
	{ HAK_BUS_PROCESS, "Change", "a(ss)ttb" },
	{ HAK_BUS_PROCESS, "Reset", "ast" },
	{ HAK_BUS_PROCESS, "Purge", "st" },
	{ "org.freedesktop.DBus.Properties", "Get", "ss" },
	{ "org.freedesktop.DBus.Properties", "GetAll", "s" },
	{ "org.freedesktop.DBus.Properties", "Set", "ssv" },
	{ "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "" },
	{ "org.freedesktop.DBus.Introspectable", "Introspect", "" },
	{ HAK_BUS_PROCESS, "Nothing", "s" },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static int new_call(sd_bus *bus, struct bytes b, sd_bus_message **ret)
{
	const char *paths[] = { HAK_BUS_PATH, shared.path, HAK_BUS_PROCESSES "/1_1", "/" };
	const char *path = paths[next(&b) % 4];
	const struct known *of = &known[next(&b) % KNOWN];
	const char *member = known[next(&b) % KNOWN].member;
	uint8_t caller = next(&b);
	char sender[16], *signature = next_text(&b);
	int r = 0;

	if (!*signature) {
		/* Most inputs shall get past the dispatcher. */
		member = of->member;
		path = strcmp(of->interface, HAK_BUS_MANAGER) == 0   ? HAK_BUS_PATH
		       : strcmp(of->interface, HAK_BUS_PROCESS) == 0 ? shared.path
								     : path;
		free(signature);
		signature = strdup(of->signature);
		MUST(signature);
	}
	shared.polkit_grants = caller & 1;
	snprintf(sender, sizeof(sender), ":1.%u", 10u + caller / 2 % 4);
	r = sd_bus_message_new_method_call(bus, ret, HAK_BUS_NAME, path, of->interface, member);
	if (r >= 0)
		r = sd_bus_message_set_sender(*ret, sender);
	if (r >= 0)
		r = append(*ret, signature, strlen(signature), &b, 0);
	free(signature);
	return r;
}

static void tell(int fd)
{
	uint64_t one = 1;

	MUST(write(fd, &one, sizeof(one)) == sizeof(one));
}

static int on_answer(sd_bus_message *answer, void *arg, sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(answer);

	(void)arg, (void)error;
	/* An error has a message for people, and comes from hakmemd. */
	MUST(!e || (e->name && e->message && *e->message));
	MUST(!e || strcmp(e->name, SD_BUS_ERROR_NO_REPLY) != 0);
	tell(shared.answered);
	return 1;
}

static void send_call(sd_bus *bus)
{
	sd_bus_message *m = NULL;
	uint64_t n;
	int r;

	MUST(read(shared.post, &n, sizeof(n)) == sizeof(n));
	r = new_call(bus, shared.input, &m);
	if (r >= 0)
		r = sd_bus_call_async(bus, NULL, m, on_answer, NULL, 60000000);
	if (r < 0)
		tell(shared.answered); /* no message: there is nothing to be answered */
	sd_bus_message_unref(m);
}

/* -- the bus ----------------------------------------------------------------------------------- */
/* Selected by the caller's number: root, the owner of the process, and two others. */
static uint32_t uid_of(const char *name)
{
	static const uint32_t uids[] = { 0, 1000, 65534, 1001 };

	return name && strncmp(name, ":1.1", 4) == 0 ? uids[(name[4] - '0') & 3] : 65534;
}

static int answer_driver(sd_bus_message *m)
{
	const char *member = sd_bus_message_get_member(m), *name = NULL;

	if (strcmp(member, "Hello") == 0)
		return sd_bus_reply_method_return(m, "s", ":1.1");
	if (strcmp(member, "RequestName") == 0)
		return sd_bus_reply_method_return(m, "u", 1);
	if (strcmp(member, "AddMatch") == 0 || strcmp(member, "RemoveMatch") == 0)
		return sd_bus_reply_method_return(m, "");
	sd_bus_message_read(m, "s", &name);
	if (strcmp(member, "GetConnectionUnixUser") == 0)
		return sd_bus_reply_method_return(m, "u", uid_of(name));
	if (strcmp(member, "GetConnectionUnixProcessID") == 0)
		return sd_bus_reply_method_return(m, "u", (uint32_t)getpid());
	if (strcmp(member, "GetNameOwner") == 0)
		return sd_bus_reply_method_return(m, "s", name);
	if (strcmp(member, "GetConnectionCredentials") == 0)
		return sd_bus_reply_method_return(m, "a{sv}", 2, "UnixUserID", "u", uid_of(name),
						  "ProcessID", "u", (uint32_t)getpid());
	return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_METHOD, "No %s here", member);
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	(void)arg, (void)error;
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", NULL) > 0)
		return answer_driver(m);
	if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority",
					  "CheckAuthorization") > 0)
		return sd_bus_reply_method_return(m, "(bba{ss})", (int)shared.polkit_grants, 0, 0);
	return 0;
}

static sd_bus *serve_connection(int fd)
{
	sd_bus *bus = NULL;
	sd_id128_t id;

	MUST(fd >= 0 && sd_id128_randomize(&id) >= 0 && sd_bus_new(&bus) >= 0);
	MUST(sd_bus_set_fd(bus, fd, fd) >= 0 && sd_bus_set_server(bus, true, id) >= 0);
	MUST(sd_bus_set_anonymous(bus, true) >= 0 && sd_bus_set_trusted(bus, true) >= 0);
	MUST(sd_bus_add_filter(bus, NULL, on_message, NULL) >= 0 && sd_bus_start(bus) >= 0);
	return bus;
}

/* The first connection is that of all calls. By the others hakmemd asks who the callers are. */
static void *play_bus(void *unused)
{
	struct pollfd wait[2 + CONNECTIONS] = { { .fd = shared.post, .events = POLLIN },
						{ .fd = shared.listening, .events = POLLIN } };
	sd_bus *bus[CONNECTIONS] = { serve_connection(accept(shared.listening, NULL, NULL)) };
	nfds_t n = 1;

	(void)unused;
	for (;;) {
		for (nfds_t i = 0; i < n; i++) {
			int r;

			while ((r = sd_bus_process(bus[i], NULL)) > 0)
				;
			MUST(r >= 0 || i > 0);
			wait[2 + i] = (struct pollfd){ .fd = r < 0 ? -1 : sd_bus_get_fd(bus[i]),
						       .events = (short)sd_bus_get_events(bus[i]) };
		}
		MUST(poll(wait, 2 + n, -1) > 0);
		if (wait[0].revents)
			send_call(bus[0]);
		if (wait[1].revents) {
			MUST(n < CONNECTIONS);
			bus[n++] = serve_connection(accept(shared.listening, NULL, NULL));
		}
	}
	return NULL;
}

/* -- hakmemd ----------------------------------------------------------------------------------- */
static int on_answered(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	uint64_t n;

	(void)source, (void)events;
	MUST(read(fd, &n, sizeof(n)) == sizeof(n));
	*(bool *)arg = true;
	return 0;
}

static bool is_answered;

static void listen_for_hakmemd(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int n = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "hakmem-fuzz-%d", getpid());

	snprintf(shared.address, sizeof(shared.address), "unix:abstract=%s", at.sun_path + 1);
	shared.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(bind(shared.listening, (void *)&at,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0);
	MUST(listen(shared.listening, 1) == 0);
}

static void start(void)
{
	struct hak_bus *bus;
	sd_event *event;
	pthread_t thread;

	prctl(PR_SET_NAME, COMM);
	hak_log_level(LOG_CRIT);
	fake_create(&fake);
	fake_seal(&fake);
	listen_for_hakmemd();
	shared.post = eventfd(0, EFD_CLOEXEC);
	shared.answered = eventfd(0, EFD_CLOEXEC);
	MUST(pthread_create(&thread, NULL, play_bus, NULL) == 0);
	MUST(sd_event_new(&event) >= 0 && hak_manager_new(event, &manager) >= 0);
	manager->only = COMM;
	MUST(hak_manager_reload(manager) >= 0);
	MUST(hak_look_start(manager) >= 0);
	/* On a busy machine the first look may have no time for it. */
	while (manager->processes_n == 0)
		MUST(sd_event_run(event, UINT64_MAX) >= 0);
	hak_bus_process_path(manager->processes, shared.path);
	MUST(sd_event_add_io(event, NULL, shared.answered, POLLIN, on_answered, &is_answered) >= 0);
	MUST(hak_bus_start(manager, shared.address, &bus) >= 0);
	while (!bus->ready)
		MUST(sd_event_run(event, UINT64_MAX) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!manager)
		start();
	shared.input = (struct bytes){ data, size };
	is_answered = false;
	tell(shared.post);
	while (!is_answered) {
		MUST(sd_event_run(manager->event, UINT64_MAX) >= 0);
		fake_apply(&fake);
		fake_answer(&fake, 4096, 1);
	}
	return 0;
}
