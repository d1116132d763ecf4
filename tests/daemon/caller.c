/* SPDX-License-Identifier: MIT */
/*
 * usage: caller [-i] PATH INTERFACE METHOD [SIGNATURE ARGUMENT...] Makes one method call to
 * org.hakmem.Hakmem1; INTERFACE is what follows that name, or a whole one. Prints the strings,
 * paths and numbers of the answer, each behind its type. For an error it prints name and message,
 * and the exit status is 1. -i: a user may be asked for a password. Arguments are as busctl takes
 * them; a string @BYTES is so many letters.
 *
 * usage: caller -f N PATH INTERFACE METHOD [SIGNATURE ARGUMENT...] Makes the same call N times, as
 * fast as the bus takes them, and reads no answer until all are sent. Then it prints a line, and
 * reads nothing any more until stdin ends. -r N: reads all answers, and the line says "answered",
 * or "refused" as soon as one of them is LimitExceeded, since others may never come.
 *
 * usage: caller -t N PATH INTERFACE METHOD [SIGNATURE ARGUMENT...] Makes the same call N times,
 * each a tenth of a second after the answer to the one before; prints for each a line with the
 * milliseconds that it took.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

static char **arg;

static const char *next(void)
{
	return *arg ? *arg++ : "";
}

static int append_text(sd_bus_message *m, const char *text)
{
	size_t bytes = text[0] == '@' ? strtoul(text + 1, NULL, 0) : 0;
	char *room;
	int r;

	if (text[0] != '@')
		return sd_bus_message_append(m, "s", text);
	r = sd_bus_message_append_string_space(m, bytes, &room);
	if (r >= 0)
		memset(room, 'x', bytes);
	return r;
}

static int append(sd_bus_message *m, const char *type)
{
	for (; *type; type++) {
		int r = 0;

		if (*type == 'a') {
			char inner[16], end = type[1] == '(' ? ')' : type[1];
			size_t bytes = (size_t)(strchr(type, end) - type);
			unsigned n = (unsigned)atoi(next());

			snprintf(inner, sizeof(inner), "%.*s", (int)bytes, type + 1);
			r = sd_bus_message_open_container(m, 'a', inner);
			while (r >= 0 && n--)
				r = append(m, inner);
			if (r >= 0)
				r = sd_bus_message_close_container(m);
			type += bytes;
		} else if (*type == '(') {
			r = sd_bus_message_open_container(m, 'r', "ss");
		} else if (*type == ')') {
			r = sd_bus_message_close_container(m);
		} else if (*type == 's') {
			r = append_text(m, next());
		} else if (*type == 't') {
			r = sd_bus_message_append(m, "t", strtoull(next(), NULL, 0));
		} else if (*type == 'u') {
			r = sd_bus_message_append(m, "u", (uint32_t)strtoul(next(), NULL, 0));
		} else {
			r = sd_bus_message_append(m, "b", atoi(next()));
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int new_call(sd_bus *bus, char **argv, sd_bus_message **ret)
{
	char interface[128];
	int r;

	snprintf(interface, sizeof(interface), "%s%s",
		 strchr(argv[1], '.') ? "" : "org.hakmem.Hakmem1.", argv[1]);
	r = sd_bus_message_new_method_call(bus, ret, "org.hakmem.Hakmem1", argv[0], interface,
					   argv[2]);
	arg = argv[3] ? argv + 4 : argv + 3;
	return r < 0 || !argv[3] ? r : append(*ret, argv[3]);
}

static void print(sd_bus_message *m, const char *between)
{
	const char *contents, *text;
	uint64_t t;
	uint32_t u;
	char type;

	while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
		if (type == 'a' || type == 'r' || type == 'e') {
			sd_bus_message_enter_container(m, type, contents);
			print(m, between);
			sd_bus_message_exit_container(m);
		} else if (type == 's' || type == 'o') {
			sd_bus_message_read_basic(m, type, &text);
			printf("%c %s%s", type, text, between);
		} else if (type == 't') {
			sd_bus_message_read_basic(m, type, &t);
			printf("t %" PRIu64 "%s", t, between);
		} else if (type == 'u') {
			sd_bus_message_read_basic(m, type, &u);
			printf("u %" PRIu32 "%s", u, between);
		} else {
			sd_bus_message_skip(m, NULL);
		}
	}
}

static int read_answers(sd_bus *bus, unsigned n)
{
	bool refused = false;
	int r = 0;

	while (r >= 0 && n && !refused) {
		sd_bus_message *m = NULL;

		r = sd_bus_process(bus, &m);
		if (r == 0)
			r = sd_bus_wait(bus, 120000000);
		refused |= m && sd_bus_message_is_method_error(
					m, "org.hakmem.Hakmem1.Error.LimitExceeded") > 0;
		n -= m && sd_bus_message_get_reply_cookie(m, &(uint64_t){ 0 }) >= 0;
		sd_bus_message_unref(m);
	}
	puts(r < 0 ? strerror(-r) : refused ? "refused" : "answered");
	return r < 0;
}

static int flood(sd_bus *bus, unsigned calls, bool reads, char **argv)
{
	sd_bus_message *m = NULL;
	unsigned n = calls;
	int r = 0;

	while (r >= 0 && n--) {
		r = new_call(bus, argv, &m);
		if (r >= 0)
			r = sd_bus_send(bus, m, &(uint64_t){ 0 });
		m = sd_bus_message_unref(m);
		if (r >= 0 && n % 64 == 0)
			r = sd_bus_flush(bus);
	}
	if (reads && r >= 0)
		return read_answers(bus, calls);
	puts(r < 0 ? strerror(-r) : "sent");
	fflush(stdout);
	while (read(STDIN_FILENO, &(char){ 0 }, 1) > 0)
		;
	return r < 0;
}

static int call_once(sd_bus *bus, bool interactive, char **argv)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	int r = new_call(bus, argv, &m);

	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(m, interactive);
	if (r >= 0)
		r = sd_bus_call(bus, m, 120000000, &error, &reply);
	if (r < 0)
		printf("%s %s\n", error.name ? error.name : "-",
		       error.message ? error.message : strerror(-r));
	else
		print(reply, "\n");
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r < 0;
}

static int measure(sd_bus *bus, unsigned n, char **argv)
{
	struct timespec from, to;
	sd_bus_message *m = NULL;
	int r = 0;

	while (r >= 0 && n--) {
		r = new_call(bus, argv, &m);
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (r >= 0)
			r = sd_bus_call(bus, m, 120000000, NULL, NULL);
		clock_gettime(CLOCK_MONOTONIC, &to);
		m = sd_bus_message_unref(m);
		printf("%.3f\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
					 (double)(to.tv_nsec - from.tv_nsec) / 1e6);
		usleep(100000);
	}
	if (r < 0)
		puts(strerror(-r));
	return r < 0;
}

int main(int argc, char **argv)
{
	bool interactive = false, reads = false, timed = false;
	unsigned n = 0;
	sd_bus *bus;
	int r, option;

	while ((option = getopt(argc, argv, "+if:r:t:")) != -1) {
		if (option == 'i')
			interactive = true;
		else
			n = (unsigned)atoi(optarg);
		reads |= option == 'r';
		timed |= option == 't';
	}
	if (argc - optind < 3 || sd_bus_open_system(&bus) < 0)
		return 2;
	if (timed)
		r = measure(bus, n, argv + optind);
	else if (n)
		r = flood(bus, n, reads, argv + optind);
	else
		r = call_once(bus, interactive, argv + optind);
	sd_bus_close_unref(bus);
	return r;
}
