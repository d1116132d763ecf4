/* SPDX-License-Identifier: MIT */
/*
 * The objects of processes, /org/hakmem/Hakmem1/process/PID_STARTTIME, see bus.h. The properties of
 * their tunables are generated from control/abi/tunables.def.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/nearest.h"
#include "control/report.h"
#include "hakmemd/bus.h"

#define TUNABLES hak_tunable_rows_n
/* The default time that a purge or a change waits for the process. */
#define TIMEOUT_US 1000000u
/* A list of all processes takes 75 us for each of them. If there are more processes than this, only
 * root may list them. */
#define ENUMERATED_MAX 1000u

/* -- paths ------------------------------------------------------------------------------------- */
void hak_bus_process_path(const struct hak_process *p, char ret[HAK_BUS_PATH_BYTES])
{
	snprintf(ret, HAK_BUS_PATH_BYTES, HAK_BUS_PROCESSES "/%d_%llu", (int)p->id.pid,
		 (unsigned long long)p->id.start_ticks);
}

/* The process of an object path. Only the spelling of hak_bus_process_path() is accepted. */
static int find(sd_bus *unused, const char *path, const char *interface, void *arg, void **ret,
		sd_bus_error *error)
{
	const struct hak_bus *bus = arg;
	char again[HAK_BUS_PATH_BYTES];
	unsigned long long start;
	struct hak_process *p;
	int pid;

	(void)unused, (void)interface, (void)error;
	if (sscanf(path, HAK_BUS_PROCESSES "/%d_%llu", &pid, &start) != 2 || !start)
		return 0;
	p = hak_process_find(bus->manager, pid, start);
	if (!p)
		return 0;
	hak_bus_process_path(p, again);
	if (strcmp(path, again) != 0)
		return 0;
	*ret = p;
	return 1;
}

static bool may_enumerate(const struct hak_bus *bus, sd_bus_message *message)
{
	struct hak_asker asker;

	return bus->manager->processes_n <= ENUMERATED_MAX || !message ||
	       (hak_askers_who(bus->askers, message, &asker) >= 0 && asker.uid == 0);
}

static int enumerate(sd_bus *b, const char *prefix, void *arg, char ***ret, sd_bus_error *error)
{
	const struct hak_bus *bus = arg;
	sd_bus_message *message = sd_bus_get_current_message(b);
	char **paths;
	size_t n = 0;

	/* An introspection asks for the children of one node. */
	if (message && strcmp(prefix, HAK_BUS_PROCESSES) != 0 &&
	    sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Introspectable", NULL) > 0)
		return 0;
	if (!may_enumerate(bus, message))
		return hak_bus_error(error, HAK_BUS_LIMIT,
				     "There are more than %u processes; use ListProcesses()",
				     ENUMERATED_MAX);
	paths = calloc(bus->manager->processes_n + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	for (struct hak_process *p = bus->manager->processes; p; p = p->next) {
		char path[HAK_BUS_PATH_BYTES];

		hak_bus_process_path(p, path);
		paths[n] = strdup(path);
		if (!paths[n++]) {
			while (n--)
				free(paths[n]);
			free(paths);
			return -ENOMEM;
		}
	}
	*ret = paths;
	return 1;
}

/* -- properties -------------------------------------------------------------------------------- */
static int append_escaped(sd_bus_message *m, const char *text)
{
	char escaped[4 * HAK_CGROUP_BYTES];

	hak_escape(text, escaped, sizeof(escaped));
	return sd_bus_message_append(m, "s", escaped);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_process *p = arg;
	const struct {
		const char *property, *text;
	} texts[] = {
		{ "Command", p->id.comm },
		{ "Executable", p->id.exe },
		{ "ControlGroup", p->id.cgroup },
		{ "Unit", p->id.unit },
		{ "UserUnit", p->id.user_unit },
		{ "Policy", p->effect.first ? p->effect.first->name : "" },
		{ "Version", p->seg->header.version },
		{ "Trouble", p->trouble },
	};

	(void)bus, (void)path, (void)interface, (void)error;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].property, property) == 0)
			return append_escaped(reply, texts[i].text);
	return -EINVAL;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_process *p = arg;

	(void)bus, (void)path, (void)interface, (void)error;
	switch (property[0]) {
	case 'P':
		return sd_bus_message_append(reply, "u", (uint32_t)p->id.pid);
	case 'S':
		return sd_bus_message_append(reply, "t", p->id.start_ticks);
	case 'U':
		return sd_bus_message_append(reply, "u", (uint32_t)p->id.uid);
	case 'L':
		return sd_bus_message_append(reply, "b", (int)p->seg->header.locked);
	default:
		return sd_bus_message_append(reply, "t", p->returned_bytes);
	}
}

/* Converts "whale.ring_slots" to "WhaleRingSlots". */
static void property_of(const struct hak_tunable_row *row, char ret[HAK_NAME_BYTES])
{
	const char *in = row->name;
	bool upper = true;

	for (; *in; in++) {
		if (*in == '.' || *in == '_') {
			upper = true;
			continue;
		}
		*ret++ = (char)(upper ? toupper((unsigned char)*in) : *in);
		upper = false;
	}
	*ret = '\0';
}

static char tunable_names[HAK_TUNABLES][HAK_NAME_BYTES];

/* The value in force; false, 0 or "" for a tunable that the process's library does not know. */
static int get_tunable(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_process *p = arg;
	const struct hak_tunable_row *row = NULL;
	char text[HAK_VALUE_TEXT] = "";
	uint64_t value = 0;
	int index = -1;

	(void)bus, (void)path, (void)interface, (void)error;
	for (size_t i = 0; i < TUNABLES && !row; i++)
		if (strcmp(tunable_names[i], property) == 0)
			row = &hak_tunable_rows[i];
	if (!row)
		return -EINVAL;
	index = hak_segment_tunable(p->seg, row->name);
	if (index >= 0)
		value = p->value[index].value;
	if (row->type == HAK_TYPE_BOOL)
		return sd_bus_message_append(reply, "b", value != 0);
	if (row->type != HAK_TYPE_ENUM)
		return sd_bus_message_append(reply, "t", value);
	if (index >= 0) {
		struct hak_spec spec = hak_spec_of_desc(&p->seg->tunable[index]);

		hak_value_format(&spec, value, text);
	}
	return append_escaped(reply, text);
}

static int get_origins(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_process *p = arg;
	int r = sd_bus_message_open_container(reply, 'a', "{ss}");

	(void)bus, (void)path, (void)interface, (void)property, (void)error;
	for (uint32_t i = 0; r >= 0 && i < p->seg->header.tunables; i++) {
		char name[4 * HAK_NAME_BYTES];

		hak_escape(p->seg->tunable[i].name, name, sizeof(name));
		r = sd_bus_message_append(reply, "{ss}", name, hak_origin_word(p->value[i].origin));
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* -- methods ----------------------------------------------------------------------------------- */
static int bad_argument(sd_bus_error *error, const char *why)
{
	return hak_bus_error(error, HAK_BUS_BAD_ARGUMENT, "%s", why);
}

/* The reason why a segment cannot be read. */
static const char *reason(int error)
{
	return error == -ETIME ? "reading them takes too long" : strerror(-error);
}

static int run_get_counters(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	struct hak_snapshot snap;
	sd_bus_message *reply = NULL;
	int r = hak_snapshot_take(p->seg, &snap);

	if (r < 0)
		return hak_bus_error(error, HAK_BUS_UNREADABLE, "Its counters: %s", reason(r));
	r = sd_bus_message_new_method_return(hak_call_message(call), &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{st}");
	for (uint32_t i = 0; r >= 0 && i < snap.counters; i++) {
		char name[4 * HAK_NAME_BYTES];

		hak_escape(p->seg->counter[i].name, name, sizeof(name));
		r = sd_bus_message_append(reply, "{st}", name, snap.total[i]);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	hak_snapshot_free(&snap);
	return r;
}

static int reply_json(sd_bus_message *message, struct json_object *o)
{
	int r = sd_bus_reply_method_return(
		message, "s", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(o);
	return r;
}

static int run_describe(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	struct json_object *o;
	enum hak_report what;
	const char *word;
	int r = sd_bus_message_read(hak_call_message(call), "s", &word);

	if (r < 0)
		return r;
	if (hak_report_of(word, &what) < 0)
		return bad_argument(error,
				    "Describe() takes list, stats, classes, values or tunables");
	r = hak_report_make(p->seg, what, false, &o);
	if (r < 0)
		return hak_bus_error(error, r == -ESRCH ? HAK_BUS_NO_PROCESS : HAK_BUS_UNREADABLE,
				     "%s", reason(r));
	return reply_json(hak_call_message(call), o);
}

static const char *text_of(struct json_object *row, const char *key)
{
	const char *text = hak_json_get_text(row, key);

	return text ? text : "";
}

static int answer_set(sd_bus_message *message, struct json_object *rows)
{
	struct json_object *row = json_object_array_get_idx(rows, 0);
	int r = sd_bus_reply_method_return(message, "ss", text_of(row, "result"),
					   text_of(row, "reason"));

	json_object_put(rows);
	return r;
}

/* D-Bus has no NULL, and the name of a tunable has a limited length. */
static int read_wish(sd_bus_error *error, struct hak_wish *wish, const char *name, const char *text)
{
	if (!*name || strlen(name) >= sizeof(wish->name))
		return hak_bus_error(error, HAK_BUS_NO_TUNABLE, "\"%.60s\" is no tunable", name);
	memset(wish, 0, sizeof(*wish));
	memcpy(wish->name, name, strlen(name));
	wish->text = text;
	return 0;
}

static int for_ns_of(uint64_t for_us, uint64_t *ret, sd_bus_error *error)
{
	if (for_us > UINT64_MAX / 2000)
		return bad_argument(error,
				    "for_usec is too large; 0 sets a value without a deadline");
	*ret = for_us * 1000;
	return 0;
}

static int run_set(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	struct hak_wishes wishes = { .n = 1 };
	char why[HAK_WHY_TEXT];
	struct hak_spec spec;
	struct hak_wish wish;
	const char *name, *text;
	uint64_t for_us, value;
	int index, r = sd_bus_message_read(hak_call_message(call), "sst", &name, &text, &for_us);

	if (r >= 0)
		r = read_wish(error, &wish, name, text);
	if (r >= 0)
		r = for_ns_of(for_us, &wishes.for_ns, error);
	if (r < 0)
		return r;
	index = hak_segment_tunable(p->seg, name);
	if (index < 0) {
		hak_nearest_tunable(name, why);
		return hak_bus_error(error, HAK_BUS_NO_TUNABLE,
				     "The process has no tunable \"%s\"%.120s", name, why);
	}
	spec = hak_spec_of_desc(&p->seg->tunable[index]);
	if (hak_value_parse(&spec, text, &value, why) < 0)
		return hak_bus_error(error, HAK_BUS_BAD_VALUE, "%s", why);
	wishes.wish = &wish;
	return hak_call_wait(call, hak_request_change(p->seg, &wishes), TIMEOUT_US);
}

static int add_wish(struct hak_wish *wishes, size_t *n, const char *name, const char *text,
		    sd_bus_error *error)
{
	int r;

	if (*n == HAK_MAX_TUNABLES)
		return bad_argument(error, "There are not that many tunables");
	for (size_t i = 0; i < *n; i++)
		if (strcmp(wishes[i].name, name) == 0)
			return hak_bus_error(error, HAK_BUS_BAD_ARGUMENT, "%s is given twice",
					     name);
	r = read_wish(error, &wishes[*n], name, text);
	if (r >= 0)
		(*n)++;
	return r;
}

static int run_change(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	sd_bus_message *m = hak_call_message(call);
	struct hak_wish wish[HAK_MAX_TUNABLES];
	struct hak_wishes wishes = { .wish = wish };
	uint64_t for_us, timeout_us;
	const char *name, *text;
	int dry_run, r = sd_bus_message_enter_container(m, 'a', "(ss)");

	while (r >= 0 && (r = sd_bus_message_read(m, "(ss)", &name, &text)) > 0)
		r = add_wish(wish, &wishes.n, name, text, error);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "ttb", &for_us, &timeout_us, &dry_run);
	if (r >= 0)
		r = for_ns_of(for_us, &wishes.for_ns, error);
	if (r >= 0 && !wishes.n)
		r = bad_argument(error, "Change() takes one value at least");
	if (r < 0)
		return r;
	wishes.dry_run = dry_run;
	return hak_call_wait(call, hak_request_change(p->seg, &wishes), timeout_us);
}

static int run_reset(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	sd_bus_message *m = hak_call_message(call);
	struct hak_wish wish[HAK_MAX_TUNABLES];
	struct hak_wishes wishes = { .wish = wish };
	uint64_t timeout_us;
	const char *name;
	int r = sd_bus_message_enter_container(m, 'a', "s");

	while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
		r = add_wish(wish, &wishes.n, name, NULL, error);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "t", &timeout_us);
	if (r < 0)
		return r;
	return hak_call_wait(call, hak_request_change(p->seg, &wishes), timeout_us);
}

static int answer_purge(sd_bus_message *message, struct json_object *rows)
{
	struct json_object *row = json_object_array_get_idx(rows, 0);
	int r = sd_bus_reply_method_return(
		message, "sts", text_of(row, "result"), hak_json_get(row, "bytes"),
		json_object_to_json_string_ext(rows, JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(rows);
	return r;
}

static int run_purge(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	struct hak_purge_how how = { .page_out = p->attached };
	uint64_t timeout_us;
	const char *word;
	int r = sd_bus_message_read(hak_call_message(call), "st", &word, &timeout_us);

	if (r < 0)
		return r;
	how.level = hak_purge_level_of(word);
	if (!how.level)
		return bad_argument(error, "Purge() takes cache, dirty or all");
	return hak_call_wait(call, hak_request_purge(p->seg, &how), timeout_us);
}

static const struct hak_method get_counters = { "inspect", true, run_get_counters, NULL };
static const struct hak_method describe = { "inspect", true, run_describe, NULL };
static const struct hak_method set = { "set-tunable", true, run_set, answer_set };
static const struct hak_method change = { "set-tunable", true, run_change, reply_json };
static const struct hak_method reset = { "set-tunable", true, run_reset, reply_json };
static const struct hak_method purge = { "purge", true, run_purge, answer_purge };

/* The handler of all methods. The table has what differs between them. */
static int on_call(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	static const struct {
		const char *member;
		const struct hak_method *method;
	} methods[] = {
		{ "GetCounters", &get_counters },
		{ "Describe", &describe },
		{ "Set", &set },
		{ "Change", &change },
		{ "Reset", &reset },
		{ "Purge", &purge },
	};
	struct hak_process *p = arg;
	struct hak_bus *bus =
		sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].member, sd_bus_message_get_member(m)) == 0)
			return hak_call_begin(bus, m, p, methods[i].method, error);
	return -ENOSYS;
}

#define CONSTANT SD_BUS_VTABLE_PROPERTY_CONST
#define SIGNALS	 SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define ANYBODY	 SD_BUS_VTABLE_UNPRIVILEGED
#define METHOD(member, in, in_names, out, out_names) \
	SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, on_call, ANYBODY)
#define P SD_BUS_PARAM

static const sd_bus_vtable process_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Pid", "u", get_number, 0, CONSTANT),
	SD_BUS_PROPERTY("StartTicks", "t", get_number, 0, CONSTANT),
	SD_BUS_PROPERTY("Uid", "u", get_number, 0, SIGNALS),
	SD_BUS_PROPERTY("Command", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("Executable", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("Version", "s", get_text, 0, CONSTANT),
	SD_BUS_PROPERTY("Locked", "b", get_number, 0, CONSTANT),
	SD_BUS_PROPERTY("Unit", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("UserUnit", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("ControlGroup", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("Policy", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("Trouble", "s", get_text, 0, SIGNALS),
	SD_BUS_PROPERTY("ReturnedBytes", "t", get_number, 0, 0),
	METHOD("GetCounters", "", "", "a{st}", P(counters)),
	METHOD("Describe", "s", P(what), "s", P(json)),
	METHOD("Set", "sst", P(name) P(value) P(for_usec), "ss", P(result) P(reason)),
	METHOD("Change", "a(ss)ttb", P(values) P(for_usec) P(timeout_usec) P(dry_run), "s",
	       P(json)),
	METHOD("Reset", "ast", P(names) P(timeout_usec), "s", P(json)),
	METHOD("Purge", "st", P(level) P(timeout_usec), "sts", P(result) P(bytes) P(json)),
	SD_BUS_VTABLE_END
};

/* Generated once from the rows. */
static sd_bus_vtable tunables_vtable[HAK_TUNABLES + 3];

static void make_tunables_vtable(void)
{
	sd_bus_vtable *v = tunables_vtable;

	*v++ = (sd_bus_vtable)SD_BUS_VTABLE_START(0);
	*v++ = (sd_bus_vtable)SD_BUS_PROPERTY("Origins", "a{ss}", get_origins, 0, SIGNALS);
	for (size_t i = 0; i < TUNABLES; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];
		const char *type = row->type == HAK_TYPE_BOOL	? "b"
				   : row->type == HAK_TYPE_ENUM ? "s"
								: "t";

		property_of(row, tunable_names[i]);
		*v++ = (sd_bus_vtable)SD_BUS_PROPERTY(tunable_names[i], type, get_tunable, 0,
						      SIGNALS);
	}
	*v = (sd_bus_vtable)SD_BUS_VTABLE_END;
}

int hak_bus_add_processes(struct hak_bus *bus)
{
	int r;

	if (!tunable_names[0][0])
		make_tunables_vtable();
	r = sd_bus_add_fallback_vtable(bus->bus, NULL, HAK_BUS_PROCESSES, HAK_BUS_PROCESS,
				       process_vtable, find, bus);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(bus->bus, NULL, HAK_BUS_PROCESSES, HAK_BUS_TUNABLES,
					       tunables_vtable, find, bus);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(bus->bus, NULL, HAK_BUS_PROCESSES, enumerate, bus);
	return r;
}

/* -- signals ----------------------------------------------------------------------------------- */
void hak_bus_process_added(struct hak_bus *bus, const struct hak_process *p)
{
	char path[HAK_BUS_PATH_BYTES];

	hak_bus_process_path(p, path);
	sd_bus_emit_interfaces_added(bus->bus, path, HAK_BUS_PROCESS, HAK_BUS_TUNABLES, NULL);
}

void hak_bus_process_removed(struct hak_bus *bus, const struct hak_process *p)
{
	char path[HAK_BUS_PATH_BYTES];

	hak_bus_process_path(p, path);
	sd_bus_emit_interfaces_removed(bus->bus, path, HAK_BUS_PROCESS, HAK_BUS_TUNABLES, NULL);
}

void hak_bus_process_changed(struct hak_bus *bus, const struct hak_process *p)
{
	char path[HAK_BUS_PATH_BYTES];

	hak_bus_process_path(p, path);
	sd_bus_emit_properties_changed(bus->bus, path, HAK_BUS_PROCESS, "Uid", "Command",
				       "Executable", "Unit", "UserUnit", "ControlGroup", "Policy",
				       "Trouble", NULL);
}

void hak_bus_value_changed(struct hak_bus *bus, const struct hak_process *p, uint32_t index)
{
	const struct hak_tunable_row *row = hak_tunable_row_find(p->seg->tunable[index].name);
	char path[HAK_BUS_PATH_BYTES];

	hak_bus_process_path(p, path);
	sd_bus_emit_properties_changed(bus->bus, path, HAK_BUS_TUNABLES, "Origins",
				       row ? tunable_names[row - hak_tunable_rows] : NULL, NULL);
}
