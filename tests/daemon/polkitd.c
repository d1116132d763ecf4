/* SPDX-License-Identifier: MIT */
/*
 * org.freedesktop.PolicyKit1 for tests: decides by the present content of the file named on its
 * command line. The file has one line for each action, "ACTION yes|no|challenge|never|wait"
 * ("never": no answer; "wait": yes, before the next question is answered); "no" holds for other
 * actions. Each question is a line on stdout: action, interactive or not, and the details.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

static const char *decision_of(const char *rules, const char *action, char word[16])
{
	char line[256], name[128];
	FILE *f = fopen(rules, "r");

	strcpy(word, "no");
	while (f && fgets(line, sizeof(line), f)) {
		char found[16];

		if (sscanf(line, "%127s %15s", name, found) == 2 && strcmp(name, action) == 0)
			strcpy(word, found);
	}
	if (f)
		fclose(f);
	return word;
}

static sd_bus_message *waiting; /* a question */

static int answer(sd_bus_message *m, const char *word)
{
	return sd_bus_reply_method_return(m, "(bba{ss})", strcmp(word, "yes") == 0,
					  strcmp(word, "challenge") == 0, 0);
}

static int on_check(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *kind, *key, *value, *action, *cancel;
	char word[16];
	uint32_t flags;
	int r = sd_bus_message_enter_container(m, 'r', "sa{sv}");

	(void)error;
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &kind);
	if (r >= 0)
		r = sd_bus_message_skip(m, "a{sv}");
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &action);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "{ss}");
	printf("%s", r >= 0 ? action : "unreadable");
	while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
		printf(" %s=%s", key, value);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "us", &flags, &cancel);
	if (r < 0)
		return r;
	printf(" interactive=%u\n", flags & 1);
	fflush(stdout);
	decision_of(arg, action, word);
	if (strcmp(word, "never") == 0)
		return 1;
	if (waiting)
		answer(waiting, "yes");
	waiting = sd_bus_message_unref(waiting);
	if (strcmp(word, "wait") != 0)
		return answer(m, word);
	waiting = sd_bus_message_ref(m);
	return 1;
}

/* There are the actions that the file has lines for. */
static int on_enumerate(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	char line[256], name[128];
	sd_bus_message *reply = NULL;
	FILE *f = fopen(arg, "r");
	int r = sd_bus_message_new_method_return(m, &reply);

	(void)error;
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssssssuuua{ss})");
	while (r >= 0 && f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s", name) == 1)
			r = sd_bus_message_append(reply, "(ssssssuuua{ss})", name, "", "", "", "",
						  "", 0, 0, 0, 1, "key", "value");
	if (f)
		fclose(f);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static const sd_bus_vtable vtable[] = { SD_BUS_VTABLE_START(0),
					SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us",
						      "(bba{ss})", on_check,
						      SD_BUS_VTABLE_UNPRIVILEGED),
					SD_BUS_METHOD("EnumerateActions", "s", "a(ssssssuuua{ss})",
						      on_enumerate, SD_BUS_VTABLE_UNPRIVILEGED),
					SD_BUS_VTABLE_END };

int main(int argc, char **argv)
{
	sd_bus *bus = NULL;
	int r = argc == 2 ? sd_bus_open_system(&bus) : -1;

	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
					     "org.freedesktop.PolicyKit1.Authority", vtable,
					     argv[1]);
	if (r >= 0)
		r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
	if (r >= 0)
		puts("ready");
	fflush(stdout);
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	return r < 0;
}
