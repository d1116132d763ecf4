/* SPDX-License-Identifier: MIT */
/*
 * Requests to hakmemd, on the system bus of this machine or of another one. The other hakmemd may
 * be of another version, or on a machine that this one does not trust. Its documents are therefore
 * made printable and validated here (control/documents.h), and so are the texts of its errors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "control/bus.h"
#include "control/documents.h"
#include "control/escape.h"
#include "hakmemctl/ctl.h"

/* The time that a user may take to type a password. */
#define PATIENCE_US 300000000u
/* The number of values in all answers of one command, which are kept until they are printed, and
 * the time for which answers are awaited. */
#define VALUES_MAX 4000000u
#define ALL_US	   900000000u
#define FOUND_MAX  65536u

struct ctl_call {
	pid_t pid;
	enum hak_document document; /* of a row of the answer */
	sd_bus_slot *slot;
	sd_bus_message *reply;
	bool done;
};

/* -- connection -------------------------------------------------------------------------------- */
/* An error of the connection, and not of hakmemd. Its exit code is always "failed": an -EACCES here
 * would not mean that access to a process was denied. */
static int not_reached(struct ctl *ctl, int r, char why[HAK_WHY_TEXT])
{
	/* ssh prints the reason first; that its pipe was closed explains nothing */
	if (ctl->host)
		ctl_ssh_end(ctl);
	if (ctl->host)
		snprintf(why, HAK_WHY_TEXT, "cannot reach the system bus of %s by ssh", ctl->host);
	else if (ctl->machine)
		snprintf(why, HAK_WHY_TEXT, "cannot reach the system bus of container %s: %s",
			 ctl->machine, strerror(-r));
	else
		snprintf(why, HAK_WHY_TEXT, "cannot reach the system bus: %s", strerror(-r));
	return -ECONNREFUSED;
}

static int connect_bus(struct ctl *ctl, char why[HAK_WHY_TEXT])
{
	int r;

	if (ctl->bus)
		return 0;
	if (ctl->host)
		r = ctl_ssh_open(ctl);
	else if (ctl->machine)
		r = sd_bus_open_system_machine(&ctl->bus, ctl->machine);
	else
		r = sd_bus_open_system(&ctl->bus);
	return r < 0 ? not_reached(ctl, r, why) : 0;
}

void ctl_bus_close(struct ctl *ctl)
{
	ctl_agent_end(ctl);
	sd_bus_flush_close_unref(ctl->bus);
	ctl->bus = NULL;
	ctl_ssh_end(ctl);
}

/* Converts the name of an error to the errno from which the exit code follows. */
static int error_of(struct ctl *ctl, const sd_bus_error *error, int r, char why[HAK_WHY_TEXT])
{
	static const struct {
		const char *name;
		int error;
	} known[] = {
		{ HAK_BUS_NO_PROCESS, -ESRCH },
		{ HAK_BUS_DENIED, -EACCES },
		{ HAK_BUS_WANTS_USER, -EACCES },
		{ SD_BUS_ERROR_SERVICE_UNKNOWN, -ENOENT },
		{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, -ENOENT },
		{ SD_BUS_ERROR_UNKNOWN_OBJECT, -ESRCH },
		{ SD_BUS_ERROR_UNKNOWN_METHOD, -ENOSYS },
	};
	char text[280];

	if (!sd_bus_error_is_set(error) || strncmp(error->name, "System.Error.", 13) == 0)
		return not_reached(ctl, r, why);
	hak_escape(error->message ? error->message : error->name, text, sizeof(text));
	snprintf(why, HAK_WHY_TEXT, "hakmemd: %s", text);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, error->name) == 0) {
			if (known[i].error == -ENOENT)
				snprintf(why, HAK_WHY_TEXT,
					 "hakmemd does not run%s, and could "
					 "not be started",
					 ctl->host || ctl->machine ? " there" : "");
			return known[i].error;
		}
	return -EIO;
}

static int new_call(struct ctl *ctl, const char *path, const char *interface, const char *method,
		    bool ask_user, sd_bus_message **ret)
{
	int r = sd_bus_message_new_method_call(ctl->bus, ret, HAK_BUS_NAME, path, interface,
					       method);

	if (ask_user)
		ctl_agent_begin(ctl);
	if (r >= 0 && ask_user)
		r = sd_bus_message_set_allow_interactive_authorization(*ret, true);
	return r;
}

/* -- answers ----------------------------------------------------------------------------------- */
static bool is_about(struct json_object *o, pid_t pid)
{
	return hak_json_get(o, "pid") == (uint64_t)pid;
}

static int makes_no_sense(const char *wrong, char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT, "hakmemd gave an invalid answer: %.200s", wrong);
	return -EBADMSG;
}

/* Reads the document in the last argument of the reply, about process `pid`. */
static int read_json(struct ctl *ctl, sd_bus_message *reply, pid_t pid, enum hak_document document,
		     bool rows, struct json_object **ret, char why[HAK_WHY_TEXT])
{
	char wrong[HAK_WHY_TEXT] = "it has no text";
	struct json_object *o = NULL;
	bool good = true;
	const char *text;
	int r = sd_bus_message_read(reply, "s", &text);

	if (r >= 0)
		ctl->bus_values += hak_document_values(text);
	if (r >= 0 && ctl->bus_values > VALUES_MAX) {
		snprintf(wrong, sizeof(wrong), "the answers have more than %u values", VALUES_MAX);
		r = -EBADMSG;
	}
	if (r >= 0)
		r = hak_document_read(text, document, rows, &o, wrong);
	if (r >= 0 && !rows)
		good = is_about(o, pid);
	for (size_t i = 0; r >= 0 && rows && i < json_object_array_length(o); i++)
		good = good && is_about(json_object_array_get_idx(o, i), pid);
	if (!good)
		snprintf(wrong, sizeof(wrong), "it is about another process");
	if (r < 0 || !good) {
		json_object_put(o);
		return makes_no_sense(wrong, why);
	}
	*ret = o;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct ctl_process *p = a, *q = b;

	return p->pid < q->pid ? -1 : p->pid > q->pid;
}

/* Whether each PID occurs once. */
static bool are_distinct(struct ctl_process *list, size_t n)
{
	qsort(list, n, sizeof(*list), by_pid);
	for (size_t i = 1; i < n; i++)
		if (list[i].pid == list[i - 1].pid)
			return false;
	return true;
}

static int read_found(sd_bus_message *reply, struct ctl_process **ret, size_t *ret_n)
{
	struct ctl_process *list = NULL, *grown;
	uint32_t pid, uid;
	const char *comm, *path;
	size_t n = 0;
	int r = sd_bus_message_enter_container(reply, 'a', "(uuso)");

	while (r >= 0 && (r = sd_bus_message_read(reply, "(uuso)", &pid, &uid, &comm, &path)) > 0) {
		if (pid == 0 || pid > INT32_MAX || n == FOUND_MAX) {
			r = -EBADMSG;
			break;
		}
		grown = realloc(list, (n + 1) * sizeof(*list));
		if (grown)
			list = grown;
		if (!grown || !(list[n].path = strdup(path))) {
			r = -ENOMEM;
			break;
		}
		list[n++].pid = (pid_t)pid;
	}
	if (r >= 0 && n && !are_distinct(list, n))
		r = -EBADMSG;
	if (r < 0) {
		ctl_bus_found_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

void ctl_bus_found_free(struct ctl_process *found, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(found[i].path);
	free(found);
}

/* -- questions --------------------------------------------------------------------------------- */
int ctl_bus_find(struct ctl *ctl, const char *target, bool start_it, struct ctl_process **ret,
		 size_t *ret_n, char why[HAK_WHY_TEXT])
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	int r = connect_bus(ctl, why);

	if (r < 0)
		return r;
	r = new_call(ctl, HAK_BUS_PATH, HAK_BUS_MANAGER, "ListProcesses", false, &m);
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, start_it);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", target);
	if (r >= 0)
		r = sd_bus_call(ctl->bus, m, 0, &error, &reply);
	if (r < 0)
		r = error_of(ctl, &error, r, why);
	else if (read_found(reply, ret, ret_n) < 0)
		r = makes_no_sense("it lists no processes", why);
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r;
}

static uint64_t patience_us(struct ctl *ctl)
{
	uint64_t now = hak_monotonic_ns(), left_us;

	if (!ctl->bus_until_ns)
		ctl->bus_until_ns = now + ALL_US * UINT64_C(1000);
	left_us = ctl->bus_until_ns > now ? (ctl->bus_until_ns - now) / 1000 : 0;
	return left_us < PATIENCE_US ? left_us : PATIENCE_US;
}

int ctl_bus_report(struct ctl *ctl, const struct ctl_process *p, enum hak_report what,
		   bool ask_user, struct json_object **ret, char why[HAK_WHY_TEXT])
{
	bool rows;
	enum hak_document document = hak_document_of(what, &rows);
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	int r = new_call(ctl, p->path, HAK_BUS_PROCESS, "Describe", ask_user, &m);

	if (r >= 0)
		r = sd_bus_message_append(m, "s", hak_report_word(what));
	if (r >= 0)
		r = patience_us(ctl) ? sd_bus_call(ctl->bus, m, patience_us(ctl), &error, &reply)
				     : -ETIMEDOUT;
	r = r < 0 ? error_of(ctl, &error, r, why)
		  : read_json(ctl, reply, p->pid, document, rows, ret, why);
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	sd_bus_message_unref(m);
	return r;
}

static int answered(sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	struct ctl_call *call = arg;

	(void)error;
	call->reply = sd_bus_message_ref(reply);
	call->done = true;
	return 0;
}

static int append_changes(sd_bus_message *m, const struct ctl_ask *ask)
{
	const struct hak_wishes *wishes = ask->wishes;
	int r = sd_bus_message_open_container(m, 'a', "(ss)");

	for (size_t i = 0; r >= 0 && i < wishes->n; i++)
		r = sd_bus_message_append(m, "(ss)", wishes->wish[i].name, wishes->wish[i].text);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "ttb", wishes->for_ns / 1000, ask->timeout_ns / 1000,
					  (int)wishes->dry_run);
	return r;
}

static int append_resets(sd_bus_message *m, const struct ctl_ask *ask)
{
	int r = sd_bus_message_open_container(m, 'a', "s");

	for (size_t i = 0; r >= 0 && i < ask->wishes->n; i++)
		r = sd_bus_message_append(m, "s", ask->wishes->wish[i].name);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "t", ask->timeout_ns / 1000);
	return r;
}

int ctl_bus_ask(struct ctl *ctl, const struct ctl_process *p, const struct ctl_ask *ask,
		struct ctl_call **ret, char why[HAK_WHY_TEXT])
{
	bool change = ask->wishes && ask->wishes->n && ask->wishes->wish[0].text;
	const char *method = change ? "Change" : ask->wishes ? "Reset" : "Purge";
	struct ctl_call *call = calloc(1, sizeof(*call));
	sd_bus_message *m = NULL;
	int r = call ? new_call(ctl, p->path, HAK_BUS_PROCESS, method, true, &m) : -ENOMEM;

	if (call) {
		call->pid = p->pid;
		call->document = ask->wishes ? HAK_DOCUMENT_CHANGE : HAK_DOCUMENT_PURGE;
	}
	if (r >= 0)
		r = change	  ? append_changes(m, ask)
		    : ask->wishes ? append_resets(m, ask)
				  : sd_bus_message_append(m, "st",
							  hak_purge_level_word(ask->purge->level),
							  ask->timeout_ns / 1000);
	if (r >= 0)
		r = sd_bus_call_async(ctl->bus, &call->slot, m, answered, call,
				      PATIENCE_US + ask->timeout_ns / 1000);
	sd_bus_message_unref(m);
	if (r < 0) {
		free(call);
		return error_of(ctl, &SD_BUS_ERROR_NULL, r, why);
	}
	*ret = call;
	return 0;
}

static int skip_to_json(sd_bus_message *reply)
{
	return sd_bus_message_has_signature(reply, "s") ? 0 : sd_bus_message_skip(reply, "st");
}

int ctl_bus_answer(struct ctl *ctl, struct ctl_call *call, struct json_object **ret,
		   char why[HAK_WHY_TEXT])
{
	int r = 0;

	while (!call->done && r >= 0) {
		r = sd_bus_process(ctl->bus, NULL);
		if (r == 0)
			r = sd_bus_wait(ctl->bus, UINT64_MAX);
	}
	if (call->done && sd_bus_message_is_method_error(call->reply, NULL)) {
		r = error_of(ctl, sd_bus_message_get_error(call->reply), -EIO, why);
	} else {
		r = r < 0			    ? error_of(ctl, &SD_BUS_ERROR_NULL, r, why)
		    : skip_to_json(call->reply) < 0 ? makes_no_sense("it has no text", why)
						    : read_json(ctl, call->reply, call->pid,
								call->document, true, ret, why);
	}
	sd_bus_slot_unref(call->slot);
	sd_bus_message_unref(call->reply);
	free(call);
	return r;
}

/* -- a look, for doctor ------------------------------------------------------------------------ */
#define LOOK_US	   5000000u
#define BUS	   "org.freedesktop.DBus"
#define POLKIT	   "org.freedesktop.PolicyKit1"
#define AUTHORITY  "/org/freedesktop/PolicyKit1/Authority", POLKIT ".Authority"
#define ACTION	   "(ssssssuuua{ss})"
#define LOOK_COUNT 65536u

static bool is_owned(sd_bus *bus, const char *name)
{
	sd_bus_message *reply = NULL;
	int owned = 0;

	if (sd_bus_call_method(bus, BUS, "/org/freedesktop/DBus", BUS, "NameHasOwner", NULL, &reply,
			       "s", name) >= 0)
		sd_bus_message_read(reply, "b", &owned);
	sd_bus_message_unref(reply);
	return owned;
}

static bool can_be_started(sd_bus *bus, const char *name)
{
	sd_bus_message *reply = NULL;
	const char *one;
	bool found = false;

	if (sd_bus_call_method(bus, BUS, "/org/freedesktop/DBus", BUS, "ListActivatableNames", NULL,
			       &reply, "") >= 0 &&
	    sd_bus_message_enter_container(reply, 'a', "s") > 0)
		while (!found && sd_bus_message_read(reply, "s", &one) > 0)
			found = strcmp(one, name) == 0;
	sd_bus_message_unref(reply);
	return found;
}

static size_t count_problems(sd_bus *bus)
{
	sd_bus_message *reply = NULL;
	size_t n = 0;

	if (sd_bus_get_property(bus, HAK_BUS_NAME, HAK_BUS_PATH, HAK_BUS_MANAGER, "Problems", NULL,
				&reply, "a(sus)") >= 0 &&
	    sd_bus_message_enter_container(reply, 'a', "(sus)") > 0)
		while (n < LOOK_COUNT && sd_bus_message_skip(reply, "(sus)") > 0)
			n++;
	sd_bus_message_unref(reply);
	return n;
}

/* Returns whether polkit answers. The bus starts polkit for this, as for a call to be allowed. */
static bool ask_polkit(sd_bus *bus, bool *ret_actions)
{
	sd_bus_message *reply = NULL;
	const char *id;
	bool answers = sd_bus_call_method(bus, POLKIT, AUTHORITY, "EnumerateActions", NULL, &reply,
					  "s", "") >= 0;

	if (answers && sd_bus_message_enter_container(reply, 'a', ACTION) > 0)
		while (!*ret_actions &&
		       sd_bus_message_enter_container(reply, 'r', "ssssssuuua{ss}") > 0) {
			if (sd_bus_message_read(reply, "s", &id) > 0)
				*ret_actions = strcmp(id, HAK_BUS_NAME ".set-tunable") == 0;
			if (sd_bus_message_skip(reply, "sssssuuua{ss}") < 0 ||
			    sd_bus_message_exit_container(reply) < 0)
				break;
		}
	sd_bus_message_unref(reply);
	return answers;
}

int ctl_bus_look(struct ctl_bus_look *ret, char why[HAK_WHY_TEXT])
{
	sd_bus *bus = NULL;
	int r = sd_bus_open_system(&bus);

	*ret = (struct ctl_bus_look){ 0 };
	if (r < 0) {
		snprintf(why, HAK_WHY_TEXT, "cannot reach the system bus: %s", strerror(-r));
		return -ECONNREFUSED;
	}
	sd_bus_set_method_call_timeout(bus, LOOK_US);
	if (!is_owned(bus, BUS)) {
		snprintf(why, HAK_WHY_TEXT, "the system bus does not answer");
		sd_bus_close_unref(bus);
		return -ECONNREFUSED;
	}
	ret->daemon = is_owned(bus, HAK_BUS_NAME);
	ret->daemon_starts = can_be_started(bus, HAK_BUS_NAME);
	if (ret->daemon)
		ret->problems = count_problems(bus);
	ret->polkit = ask_polkit(bus, &ret->actions);
	sd_bus_flush_close_unref(bus);
	return 0;
}
