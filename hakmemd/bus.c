/* SPDX-License-Identifier: MIT */
/*
 * The connection to the bus, the object of the manager, and the signals; see bus.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/target.h"
#include "hakmemd/bus.h"
#include "hakmemd/journal.h"
#include "hakmemd/look.h"
#include "hakmemd/manager.h"

/* The reply of RequestName() to the owner of the name. */
#define NAME_IS_OURS 1u
#define AGAIN_MIN_US 1000000u
#define AGAIN_MAX_US 60000000u

static int connect_bus(struct hak_bus *bus);

/* -- the manager's object ---------------------------------------------------------------------- */
static int get_version(sd_bus *b, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	(void)b, (void)path, (void)interface, (void)property, (void)arg, (void)error;
	return sd_bus_message_append(reply, "s", PACKAGE_VERSION);
}

static int get_count(sd_bus *b, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_manager *m = ((struct hak_bus *)arg)->manager;

	(void)b, (void)path, (void)interface, (void)error;
	if (strcmp(property, "Processes") == 0)
		return sd_bus_message_append(reply, "u", (uint32_t)m->processes_n);
	if (strcmp(property, "PutOff") == 0)
		return sd_bus_message_append(reply, "t", hak_look_put_off(m));
	if (strcmp(property, "Policies") == 0)
		return sd_bus_message_append(reply, "u", (uint32_t)m->policies->n);
	return sd_bus_message_append(reply, "t", m->returned_bytes);
}

/* The errors in policy files: path, line, reason. */
static int get_problems(sd_bus *b, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct hak_policy_set *set = ((struct hak_bus *)arg)->manager->policies;
	int r = sd_bus_message_open_container(reply, 'a', "(sus)");

	(void)b, (void)path, (void)interface, (void)property, (void)error;
	for (size_t i = 0; r >= 0 && i < set->problems_n; i++) {
		char file[4 * HAK_PATH_BYTES], why[4 * HAK_WHY_TEXT];

		hak_escape(set->problem[i].path, file, sizeof(file));
		hak_escape(set->problem[i].why, why, sizeof(why));
		r = sd_bus_message_append(reply, "(sus)", file, (uint32_t)set->problem[i].line,
					  why);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static bool is_meant(const struct hak_process *p, const struct hak_target *target)
{
	struct hak_cgroups groups;

	switch (target->kind) {
	case HAK_TARGET_PID:
		return p->id.pid == target->pid;
	case HAK_TARGET_UNIT:
		return hak_cgroup_in_unit(p->id.cgroup, target->path);
	case HAK_TARGET_CGROUP:
		return hak_cgroup_read(p->seg->procfd, &groups) == 0 &&
		       hak_cgroup_below(&groups, target->path);
	case HAK_TARGET_COMM:
		return strcmp(p->id.comm, target->comm) == 0;
	case HAK_TARGET_ALL:
		return true;
	}
	return false;
}

static int append_process(sd_bus_message *reply, const struct hak_process *p)
{
	char path[HAK_BUS_PATH_BYTES], comm[4 * HAK_COMM_BYTES];

	hak_bus_process_path(p, path);
	hak_escape(p->id.comm, comm, sizeof(comm));
	return sd_bus_message_append(reply, "(uuso)", (uint32_t)p->id.pid, (uint32_t)p->id.uid,
				     comm, path);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = (*(struct hak_process *const *)a)->id.pid;
	pid_t y = (*(struct hak_process *const *)b)->id.pid;

	return (x > y) - (x < y);
}

/* The processes of the target by PID, in an array that the caller frees; NULL if out of memory. */
static struct hak_process **select_processes(const struct hak_manager *m,
					     const struct hak_target *target, size_t *ret_n)
{
	struct hak_process **list = calloc(m->processes_n + 1, sizeof(*list));
	size_t n = 0;

	for (struct hak_process *p = m->processes; list && p; p = p->next)
		if (is_meant(p, target))
			list[n++] = p;
	if (n)
		qsort(list, n, sizeof(*list), by_pid);
	*ret_n = n;
	return list;
}

static int on_list_processes(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const struct hak_bus *bus = arg;
	sd_bus_message *reply = NULL;
	struct hak_process **list;
	struct hak_target target;
	char why[HAK_WHY_TEXT];
	const char *text;
	size_t n;
	int r = sd_bus_message_read(m, "s", &text);

	if (r < 0)
		return r;
	if (hak_target_parse(text, &target, why) < 0)
		return hak_bus_error(error, HAK_BUS_BAD_TARGET, "%s", why);
	list = select_processes(bus->manager, &target, &n);
	if (!list)
		return -ENOMEM;
	if (target.kind == HAK_TARGET_PID && n == 0)
		r = hak_bus_error(error, HAK_BUS_NO_PROCESS,
				  "process %d does not run hakmem, or does not exist",
				  (int)target.pid);
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(uuso)");
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = append_process(reply, list[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	free(list);
	return r;
}

static int on_get_process(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const struct hak_bus *bus = arg;
	char path[HAK_BUS_PATH_BYTES];
	const struct hak_process *p;
	uint32_t pid;
	int r = sd_bus_message_read(m, "u", &pid);

	if (r < 0)
		return r;
	p = pid && pid <= INT32_MAX ? hak_process_find(bus->manager, (pid_t)pid, 0) : NULL;
	if (!p)
		return hak_bus_error(error, HAK_BUS_NO_PROCESS,
				     "process %u does not run hakmem, or does not exist", pid);
	hak_bus_process_path(p, path);
	return sd_bus_reply_method_return(m, "o", path);
}

/* -- policies ---------------------------------------------------------------------------------- */
/* The number of processes that this policy matches. */
static uint32_t processes_of(const struct hak_manager *m, const struct hak_policy *policy)
{
	uint32_t n = 0;

	for (const struct hak_process *p = m->processes; p; p = p->next)
		n += hak_policy_matches(policy, &p->id);
	return n;
}

static int on_list_policies(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const struct hak_manager *manager = ((struct hak_bus *)arg)->manager;
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(m, &reply);

	(void)error;
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssu)");
	for (size_t i = 0; r >= 0 && i < manager->policies->n; i++) {
		const struct hak_policy *policy = manager->policies->policy[i];
		char name[4 * HAK_PATH_BYTES], path[4 * HAK_PATH_BYTES];

		hak_escape(policy->name, name, sizeof(name));
		hak_escape(policy->path, path, sizeof(path));
		r = sd_bus_message_append(reply, "(ssu)", name, path,
					  processes_of(manager, policy));
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int append_line(sd_bus_message *reply, const char *section, const char *name,
		       const char *value)
{
	char escaped[4 * HAK_PATH_BYTES];

	hak_escape(value, escaped, sizeof(escaped));
	return sd_bus_message_append(reply, "(sss)", section, name, escaped);
}

static int append_policy(sd_bus_message *reply, const struct hak_policy *policy)
{
	char text[HAK_VALUE_TEXT];
	int r = sd_bus_message_open_container(reply, 'a', "(sss)");

	for (unsigned i = 0; r >= 0 && i < HAK_MATCHES; i++)
		for (char **glob = policy->pattern[i]; r >= 0 && glob && *glob; glob++)
			r = append_line(reply, "Match", hak_match_word(i), *glob);
	for (size_t i = 0; r >= 0 && i < hak_tunable_rows_n; i++) {
		struct hak_spec spec = hak_spec_of_row(&hak_tunable_rows[i]);

		if (!policy->has_tunable[i])
			continue;
		hak_value_format(&spec, policy->tunable[i], text);
		r = append_line(reply, "Tunables", spec.name, text);
	}
	for (unsigned i = 0; r >= 0 && i < HAK_SETTINGS; i++) {
		if (!policy->has[i])
			continue;
		hak_setting_format(policy, i, text);
		r = append_line(reply, i < HAK_SET_CACHED_MAX ? "Pressure" : "Limit",
				hak_setting_word(i), text);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int run_show_policy(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	sd_bus_message *m = hak_call_message(call), *reply = NULL;
	struct hak_bus *bus = hak_call_bus(call);
	const struct hak_policy *policy = NULL;
	const char *name;
	int r = sd_bus_message_read(m, "s", &name);

	(void)p;
	if (r < 0)
		return r;
	for (size_t i = 0; i < bus->manager->policies->n && !policy; i++)
		if (strcmp(bus->manager->policies->policy[i]->name, name) == 0)
			policy = bus->manager->policies->policy[i];
	if (!policy)
		return hak_bus_error(error, HAK_BUS_NO_POLICY, "There is no policy \"%.100s\"",
				     name);
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = append_policy(reply, policy);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

static int run_reload(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	struct hak_manager *m = hak_call_bus(call)->manager;
	int r = hak_manager_reload(m);
	size_t problems;

	(void)p;
	if (r < 0)
		return hak_bus_error(error, SD_BUS_ERROR_FAILED, "%s", strerror(-r));
	problems = hak_manager_problems(m);
	if (problems)
		return hak_bus_error(error, HAK_BUS_BAD_FILE,
				     "%zu problem%s in the files of hakmemd; the rest of the files "
				     "is in force, and the journal has the lines",
				     problems, problems == 1 ? "" : "s");
	return sd_bus_reply_method_return(hak_call_message(call), "");
}

static int on_show_policy(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	static const struct hak_method method = { "inspect", false, run_show_policy, NULL };

	return hak_call_begin(arg, m, NULL, &method, error);
}

static int on_reload(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	static const struct hak_method method = { "manage-policy", false, run_reload, NULL };

	return hak_call_begin(arg, m, NULL, &method, error);
}

#define ANYBODY SD_BUS_VTABLE_UNPRIVILEGED
#define METHOD(member, in, in_names, out, out_names, handler) \
	SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, handler, ANYBODY)
#define P SD_BUS_PARAM

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Processes", "u", get_count, 0, 0),
	SD_BUS_PROPERTY("Policies", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Problems", "a(sus)", get_problems, 0,
			SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
	SD_BUS_PROPERTY("ReturnedBytes", "t", get_count, 0, 0),
	SD_BUS_PROPERTY("PutOff", "t", get_count, 0, 0),
	METHOD("ListProcesses", "s", P(target), "a(uuso)", P(processes), on_list_processes),
	METHOD("GetProcess", "u", P(pid), "o", P(process), on_get_process),
	METHOD("ListPolicies", "", "", "a(ssu)", P(policies), on_list_policies),
	METHOD("ShowPolicy", "s", P(name), "a(sss)", P(settings), on_show_policy),
	METHOD("Reload", "", "", "", "", on_reload),
	SD_BUS_VTABLE_END
};

/* -- notifications of the manager -------------------------------------------------------------- */
static void added(struct hak_process *p, void *arg)
{
	struct hak_bus *bus = arg;

	if (bus->ready)
		hak_bus_process_added(bus, p);
}

static void removed(struct hak_process *p, void *arg)
{
	struct hak_bus *bus = arg;

	hak_calls_of_process_end(bus, p);
	if (bus->ready)
		hak_bus_process_removed(bus, p);
}

static void changed(struct hak_process *p, void *arg)
{
	struct hak_bus *bus = arg;

	if (bus->ready)
		hak_bus_process_changed(bus, p);
}

static void value(struct hak_process *p, const struct hak_value_change *change, void *arg)
{
	struct hak_bus *bus = arg;

	if (bus->ready)
		hak_bus_value_changed(bus, p, change->index);
}

static void reloaded(struct hak_manager *m, void *arg)
{
	struct hak_bus *bus = arg;

	(void)m;
	if (bus->ready)
		sd_bus_emit_properties_changed(bus->bus, HAK_BUS_PATH, HAK_BUS_MANAGER, "Policies",
					       "Problems", NULL);
}

static const struct hak_observer observer = {
	.added = added,
	.removed = removed,
	.changed = changed,
	.value = value,
	.reloaded = reloaded,
};

/* -- connection -------------------------------------------------------------------------------- */
static int on_named(sd_bus_message *reply, void *arg, sd_bus_error *unused)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	struct hak_bus *bus = arg;
	uint32_t got = 0;

	(void)unused;
	if (!error)
		sd_bus_message_read(reply, "u", &got);
	if (error || got != NAME_IS_OURS) {
		hak_log(LOG_WARNING, "cannot own the name " HAK_BUS_NAME " on the bus: %s",
			error ? error->message : "another hakmemd owns it");
		return 0;
	}
	bus->ready = true;
	bus->again_us = AGAIN_MIN_US;
	hak_log(LOG_DEBUG, "on the bus as " HAK_BUS_NAME);
	return 0;
}

static void drop(struct hak_bus *bus)
{
	bus->ready = false;
	hak_calls_drop(bus);
	sd_bus_close(bus->bus);
	bus->bus = sd_bus_unref(bus->bus);
	hak_askers_free(bus->askers);
	bus->askers = NULL;
}

static int on_again(sd_event_source *source, uint64_t unused, void *arg)
{
	struct hak_bus *bus = arg;

	(void)unused;
	bus->again = sd_event_source_disable_unref(source);
	drop(bus);
	if (connect_bus(bus) < 0)
		hak_log(LOG_WARNING, "the bus is gone, and with it " HAK_BUS_NAME);
	return 0;
}

static int try_again(struct hak_bus *bus)
{
	int r = 0;

	if (!bus->again)
		r = sd_event_add_time(bus->manager->event, &bus->again, CLOCK_MONOTONIC,
				      hak_monotonic_ns() / 1000 + bus->again_us, 0, on_again, bus);
	bus->again_us = bus->again_us * 2 < AGAIN_MAX_US ? bus->again_us * 2 : AGAIN_MAX_US;
	return r;
}

static int on_disconnected(sd_bus_message *message, void *arg, sd_bus_error *unused)
{
	struct hak_bus *bus = arg;

	(void)message, (void)unused;
	bus->ready = false;
	hak_log(LOG_INFO, "the connection to the bus broke");
	return try_again(bus);
}

/* Whether the message is a call or a signal of another client. Replies, and all messages of
 * dbus-daemon itself, are not. */
static bool is_question(sd_bus_message *message)
{
	const char *sender = sd_bus_message_get_sender(message);

	return sender && sender[0] == ':' &&
	       (sd_bus_message_is_method_call(message, NULL, NULL) > 0 ||
		sd_bus_message_is_signal(message, NULL, NULL) > 0);
}

/*
 * Runs before any other handler. Calls of a user whose time is used up are refused, and calls of a
 * sender that has left are dropped.
 */
static int on_any(sd_bus_message *message, void *arg, sd_bus_error *error)
{
	struct hak_bus *bus = arg;
	int r;

	if (!is_question(message))
		return 0;
	r = hak_askers_begin(bus->askers, message);
	if (r == -EDQUOT)
		return hak_bus_error(error, HAK_BUS_LIMIT,
				     "The calls of this user take too much time");
	if (r < 0 && r != -ENXIO && r != -EBUSY)
		return hak_bus_error(error, HAK_BUS_LIMIT,
				     "dbus-daemon does not identify the caller: %s", strerror(-r));
	return r < 0;
}

static int add_objects(struct hak_bus *bus)
{
	int r = sd_bus_add_filter(bus->bus, NULL, on_any, bus);

	if (r >= 0)
		r = sd_bus_add_object_vtable(bus->bus, NULL, HAK_BUS_PATH, HAK_BUS_MANAGER,
					     manager_vtable, bus);
	if (r >= 0)
		r = sd_bus_add_object_manager(bus->bus, NULL, HAK_BUS_PATH);
	if (r >= 0)
		r = hak_bus_add_processes(bus);
	if (r >= 0)
		r = sd_bus_match_signal_async(bus->bus, NULL, "org.freedesktop.DBus.Local",
					      "/org/freedesktop/DBus/Local",
					      "org.freedesktop.DBus.Local", "Disconnected",
					      on_disconnected, NULL, bus);
	return r;
}

/* The address of the system bus, as in sd_bus_open_system(). */
static const char *system_address(void)
{
	const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");

	return address ? address : "unix:path=/run/dbus/system_bus_socket";
}

static int connect_bus(struct hak_bus *bus)
{
	const char *address = bus->address ? bus->address : system_address();
	int r = hak_bus_open(address, &bus->bus);

	if (r >= 0)
		r = hak_askers_new(bus->manager->event, bus->bus, address, &bus->manager->refused,
				   &bus->askers);
	/* No method of the daemon takes a descriptor. */
	if (r >= 0)
		r = sd_bus_negotiate_fds(bus->bus, false);
	/* Waits for a socket that does not exist yet. */
	if (r >= 0)
		r = sd_bus_set_watch_bind(bus->bus, true);
	if (r >= 0)
		r = sd_bus_start(bus->bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus->bus, bus->manager->event, HAK_QUESTIONS_PRIORITY);
	if (r >= 0)
		r = add_objects(bus);
	if (r >= 0)
		r = sd_bus_request_name_async(bus->bus, NULL, HAK_BUS_NAME, 0, on_named, bus);
	if (r < 0) {
		bus->bus = sd_bus_unref(bus->bus);
		hak_askers_free(bus->askers);
		bus->askers = NULL;
	}
	return r;
}

int hak_bus_start(struct hak_manager *m, const char *address, struct hak_bus **ret)
{
	struct hak_bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return hak_log_error(-ENOMEM, "cannot use a bus");
	bus->manager = m;
	bus->again_us = AGAIN_MIN_US;
	bus->address = address ? strdup(address) : NULL;
	r = address && !bus->address ? -ENOMEM : connect_bus(bus);
	if (r < 0 && !address) {
		hak_log(LOG_INFO, "no bus is available (%s); continuing without a bus",
			strerror(-r));
		r = 0;
	}
	if (r >= 0)
		r = hak_processes_observe(m, &observer, bus);
	if (r < 0) {
		hak_bus_stop(bus);
		return hak_log_error(r, "cannot use this bus");
	}
	*ret = bus;
	return 0;
}

void hak_bus_stop(struct hak_bus *bus)
{
	if (!bus)
		return;
	if (bus->bus) {
		sd_bus_flush(bus->bus);
		drop(bus);
	}
	sd_event_source_disable_unref(bus->again);
	sd_event_source_disable_unref(bus->look);
	free(bus->address);
	free(bus);
}
