/* SPDX-License-Identifier: MIT */
/*
 * One method call from its arrival to its answer, see bus.h. A call is in the list only while it
 * waits for polkit or for the process. The process may end meanwhile, so the call names the process
 * by PID and start time and not by pointer. The call also ends when the process executes another
 * program, because that program has the same PID and start time, and its access was not checked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/changes.h"
#include "hakmemd/bus.h"
#include "hakmemd/discover.h"
#include "hakmemd/journal.h"

/* Pauses between looks for answers: from the time that an agent needs to the time that a person
 * notices. */
#define LOOK_MIN_US    500u
#define LOOK_MAX_US    50000u
#define TIMEOUT_MAX_US 300000000u
/* The size of the arguments of a call: many times the size of all tunables by name and value. */
#define ARGUMENTS_BYTES 16384u
/* The processor time, in one turn of the event loop, for calls whose processes have answered. */
#define LOOK_NS 5000000
/* The processor time to carry out a call or to write its answer. The content of a segment can be
 * long. */
#define CALL_NS 50000000

struct hak_call {
	struct hak_bus *bus;
	struct hak_call *prev, *next;
	sd_bus_message *message;
	const struct hak_method *method;
	struct hak_asker asker;
	pid_t pid; /* 0: the call is about no process */
	uint64_t start_ticks;
	sd_bus_slot *polkit;	     /* the request to polkit */
	sd_bus_track *caller;	     /* fires when the caller leaves the bus */
	struct hak_request *request; /* the request to the process */
	uint64_t deadline_ns;
	uint64_t number; /* in order of arrival */
};

sd_bus_message *hak_call_message(const struct hak_call *call)
{
	return call->message;
}

struct hak_bus *hak_call_bus(const struct hak_call *call)
{
	return call->bus;
}

static void take_out(struct hak_call *call)
{
	struct hak_bus *bus = call->bus;

	if (call->prev)
		call->prev->next = call->next;
	else
		bus->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	else
		bus->last_call = call->prev;
}

static void put_last(struct hak_call *call)
{
	struct hak_bus *bus = call->bus;

	call->next = NULL;
	call->prev = bus->last_call;
	if (call->prev)
		call->prev->next = call;
	else
		bus->calls = call;
	bus->last_call = call;
}

static void free_call(struct hak_call *call)
{
	take_out(call);
	call->bus->calls_n--;
	if (call->request)
		hak_request_free(call->request);
	sd_bus_slot_unref(call->polkit);
	sd_bus_track_unref(call->caller);
	sd_bus_message_unref(call->message);
	free(call);
}

/* The process of the call. An exec that no look has noticed yet is not detected here. */
static struct hak_process *process_of(const struct hak_call *call)
{
	return call->pid ? hak_process_find(call->bus->manager, call->pid, call->start_ticks)
			 : NULL;
}

/* -- access ------------------------------------------------------------------------------------ */
/* Whether the caller is the owner of the process. This is checked for each call, because either
 * process may have executed another program since the last call. */
static bool owns(struct hak_bus *bus, sd_bus_message *message, uid_t uid,
		 const struct hak_process *p)
{
	struct hak_caller caller;
	bool may;

	if (!p || hak_askers_caller(bus->askers, message, &caller) < 0)
		return false;
	may = caller.uid == uid && hak_owner_may(&caller, p->seg->procfd);
	if (caller.pidfd >= 0)
		close(caller.pidfd);
	return may;
}

static unsigned calls_of(const struct hak_bus *bus, uid_t account)
{
	unsigned n = 0;

	for (const struct hak_call *c = bus->calls; c; c = c->next)
		n += c->asker.account == account;
	return n;
}

/* Adds up the size of the rest of the message, or of its container, until it exceeds the limit. */
static int measure(sd_bus_message *m, size_t *bytes)
{
	const char *contents, *text;
	uint64_t number;
	char type;
	int r;

	while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
		*bytes += sizeof(number);
		if (*bytes > ARGUMENTS_BYTES)
			return -E2BIG;
		if (type == SD_BUS_TYPE_ARRAY || type == SD_BUS_TYPE_STRUCT) {
			r = sd_bus_message_enter_container(m, type, contents);
			if (r >= 0)
				r = measure(m, bytes);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		} else if (type == SD_BUS_TYPE_STRING) {
			r = sd_bus_message_read_basic(m, type, &text);
			*bytes += r >= 0 ? strlen(text) : 0;
		} else {
			r = sd_bus_message_read_basic(m, type, &number);
		}
		if (r < 0)
			return r;
	}
	return r;
}

/* A call keeps its message for as long as it waits, so the size of the message is limited. */
static bool is_small(sd_bus_message *message)
{
	size_t bytes = 0;

	return measure(message, &bytes) >= 0 && bytes <= ARGUMENTS_BYTES &&
	       sd_bus_message_rewind(message, true) >= 0;
}

/* -- from arrival on --------------------------------------------------------------------------- */
static struct hak_call *new_call(struct hak_bus *bus, sd_bus_message *message,
				 const struct hak_asker *asker, const struct hak_process *p,
				 const struct hak_method *method)
{
	struct hak_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	*call = (struct hak_call){
		.bus = bus,
		.message = sd_bus_message_ref(message),
		.method = method,
		.asker = *asker,
		.number = ++bus->calls_begun,
	};
	if (p) {
		call->pid = p->id.pid;
		call->start_ticks = p->id.start_ticks;
	}
	put_last(call);
	bus->calls_n++;
	return call;
}

static int no_process(const struct hak_call *call, sd_bus_error *error)
{
	return hak_bus_error(error, HAK_BUS_NO_PROCESS,
			     "Process %d ended, or executed another program", call->pid);
}

/* Runs the method. The call is freed afterwards, unless it waits for the process. */
static int run(struct hak_call *call, sd_bus_error *error)
{
	struct hak_process *p = process_of(call);
	struct hak_budget budget;
	int r;

	hak_budget_enter(&budget, CALL_NS);
	/* The access that was granted holds for this program only. */
	if (call->pid && (!p || !hak_discovery_still(p)))
		r = no_process(call, error);
	else
		r = call->method->run(call, p, error);
	call->bus->manager->reads_put_off += hak_budget_leave(&budget);
	if (r < 0 || !call->request)
		free_call(call);
	return r < 0 ? r : 1;
}

static void judged(int result, const char *why, void *arg)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct hak_call *call = arg;
	struct hak_askers *askers = call->bus->askers;
	sd_bus_message *message = sd_bus_message_ref(call->message);
	int64_t begun_ns = hak_processor_ns();
	uid_t account = call->asker.account;
	int r;

	/* This callback belongs to the slot, which is freed when the callback returns. */
	call->polkit = sd_bus_slot_unref(call->polkit);
	if (result < 0) {
		free_call(call);
		r = hak_bus_error(&error, result == -ENOTUNIQ ? HAK_BUS_WANTS_USER : HAK_BUS_DENIED,
				  "%s", why);
	} else {
		r = run(call, &error);
	}
	if (r < 0)
		sd_bus_reply_method_errno(message, r, &error);
	sd_bus_error_free(&error);
	sd_bus_message_unref(message);
	hak_askers_charge(askers, account, hak_processor_ns() - begun_ns);
}

/* A request that was written to a process stays, and its results so far go to the journal. */
static int on_caller_gone(sd_bus_track *track, void *arg)
{
	struct hak_call *call = arg;

	(void)track;
	if (call->request)
		call->deadline_ns = 0;
	else
		free_call(call);
	return 0;
}

static int watch_caller(struct hak_call *call)
{
	int r = 0;

	if (!call->caller)
		r = sd_bus_track_new(call->bus->bus, &call->caller, on_caller_gone, call);
	return r < 0 ? r : sd_bus_track_add_sender(call->caller, call->message);
}

/* -- waiting for processes ------------------------------------------------------------------- */
/* The memory that a purge gave back counts as given back at the daemon's request, as for
 * policies. */
static void count_returned(struct hak_process *p, struct json_object *rows)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		uint64_t bytes = hak_json_get(row, "bytes") + hak_json_get(row, "paged_out_bytes");

		if (bytes)
			hak_tell_purged(p, bytes, "request");
	}
}

static void finish(struct hak_call *call, struct hak_process *p, int waited)
{
	struct hak_request *request = call->request;
	struct hak_askers *askers = call->bus->askers;
	struct hak_manager *m = call->bus->manager;
	int64_t begun_ns = hak_processor_ns();
	uid_t account = call->asker.account;
	char id[HAK_CHANGE_ID_BYTES], who[40];
	struct json_object *rows;
	struct hak_budget budget;
	int r;

	call->request = NULL;
	hak_budget_enter(&budget, CALL_NS);
	/* The rest of the request must not be carried out on another program. */
	if (!hak_discovery_still(p))
		waited = -ESRCH;
	rows = hak_request_answer(p->seg, request, waited);
	m->reads_put_off += hak_budget_leave(&budget);
	count_returned(p, rows);
	hak_change_id(id);
	snprintf(who, sizeof(who), "user %u", (unsigned)call->asker.uid);
	hak_told_add(account, hak_changes_journal(rows, p->seg->procfd, id, who, "over D-Bus",
						  hak_told_left(account)));
	r = call->method->answer(call->message, rows);
	if (r < 0)
		sd_bus_reply_method_errno(call->message, r, NULL);
	free_call(call);
	hak_askers_charge(askers, account, hak_processor_ns() - begun_ns);
}

/* True if the call still waits, because its process has not answered, or because its user has used
 * up its time. */
static bool look_at(struct hak_call *call)
{
	struct hak_process *p = process_of(call);
	int r;

	if (hak_askers_owes(call->bus->askers, call->asker.account))
		return true;
	r = hak_request_wait(p->seg, call->request, 0);
	if (r == -ETIMEDOUT && hak_monotonic_ns() < call->deadline_ns)
		return true;
	finish(call, p, r);
	return false;
}

/* One call of the user is done, and the user's other calls move behind the calls of all other
 * users. Returns the call that is next, from `call` on. */
static struct hak_call *move_back(struct hak_bus *bus, uid_t account, struct hak_call *call)
{
	struct hak_call *at = call, *next, *last = bus->last_call;
	bool more = true;

	while (at && at->asker.account == account)
		at = at->next;
	if (!at) /* all following calls are of the same user */
		return call;
	for (struct hak_call *c = bus->calls; more; c = next) {
		next = c->next;
		more = c != last;
		if (c->asker.account == account) {
			take_out(c);
			put_last(c);
		}
	}
	return at;
}

static int look_at_all(sd_event_source *source, uint64_t unused, void *arg)
{
	int64_t end_ns = hak_processor_ns() + LOOK_NS;
	struct hak_bus *bus = arg;
	struct hak_call *call, *next;
	bool any = false;

	(void)unused;
	for (call = bus->calls; call; call = next) {
		uid_t account = call->asker.account;

		if (hak_processor_ns() >= end_ns) /* continue at once, but in turn */
			return sd_event_source_set_time(source, hak_monotonic_ns() / 1000);
		next = call->next;
		if (!call->request)
			continue;
		if (look_at(call))
			any = true;
		else
			next = move_back(bus, account, next);
	}
	if (!any)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	bus->look_us = bus->look_us * 2 < LOOK_MAX_US ? bus->look_us * 2 : LOOK_MAX_US;
	return sd_event_source_set_time(source, hak_monotonic_ns() / 1000 + bus->look_us);
}

static int look_soon(struct hak_bus *bus)
{
	uint64_t when_us = hak_monotonic_ns() / 1000 + LOOK_MIN_US;
	int r;

	bus->look_us = LOOK_MIN_US;
	if (!bus->look) {
		r = sd_event_add_time(bus->manager->event, &bus->look, CLOCK_MONOTONIC, when_us, 1,
				      look_at_all, bus);
		if (r >= 0)
			r = sd_event_source_set_priority(bus->look, HAK_QUESTIONS_PRIORITY);
		if (r < 0)
			return r;
	}
	r = sd_event_source_set_time(bus->look, when_us);
	return r < 0 ? r : sd_event_source_set_enabled(bus->look, SD_EVENT_ON);
}

int hak_call_wait(struct hak_call *call, struct hak_request *request, uint64_t timeout_us)
{
	int r;

	if (!request)
		return -ENOMEM;
	call->request = request;
	r = watch_caller(call);
	if (r >= 0)
		r = look_soon(call->bus);
	if (timeout_us > TIMEOUT_MAX_US)
		timeout_us = TIMEOUT_MAX_US;
	call->deadline_ns = hak_monotonic_ns() + timeout_us * 1000;
	return r;
}

/* Ends a call that waits for polkit. */
static void give_up(struct hak_call *call)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = no_process(call, &error);

	sd_bus_reply_method_errno(call->message, r, &error);
	sd_bus_error_free(&error);
	free_call(call);
}

/* Another program of the same process would be found by the same PID and start time. */
void hak_calls_of_process_end(struct hak_bus *bus, struct hak_process *p)
{
	struct hak_call *call, *next;

	for (call = bus->calls; call; call = next) {
		next = call->next;
		if (process_of(call) != p)
			continue;
		if (call->request)
			finish(call, p, -ESRCH);
		else
			give_up(call);
	}
}

void hak_calls_drop(struct hak_bus *bus)
{
	while (bus->calls)
		free_call(bus->calls);
}

/* -- arrival ----------------------------------------------------------------------------------- */
/* The oldest call of the account that has most calls, except root's. */
static struct hak_call *who_goes(const struct hak_bus *bus)
{
	struct hak_call *goes = NULL;
	unsigned most = 0;

	for (struct hak_call *c = bus->calls; c; c = c->next) {
		unsigned n = c->asker.account ? calls_of(bus, c->asker.account) : 0;

		if (n > most || (n && n == most && c->asker.account == goes->asker.account &&
				 c->number < goes->number)) {
			most = n;
			goes = c;
		}
	}
	return goes;
}

/* A request that was written to the process of this call stays. */
static void make_room(struct hak_bus *bus)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct hak_call *call = who_goes(bus);
	int r;

	if (!call)
		return;
	if (call->request) {
		finish(call, process_of(call), -ETIMEDOUT);
		return;
	}
	r = hak_bus_error(&error, HAK_BUS_LIMIT,
			  "More than %u calls wait for an answer, most of them of this user",
			  HAK_CALLS_MAX);
	sd_bus_reply_method_errno(call->message, r, &error);
	sd_bus_error_free(&error);
	free_call(call);
}

int hak_call_begin(struct hak_bus *bus, sd_bus_message *message, struct hak_process *p,
		   const struct hak_method *method, sd_bus_error *error)
{
	struct hak_asker asker;
	char action[64];
	struct hak_call *call;
	int r;

	if (!is_small(message))
		return hak_bus_error(error, HAK_BUS_LIMIT,
				     "A call may have at most %u bytes of arguments",
				     ARGUMENTS_BYTES);
	r = hak_askers_who(bus->askers, message, &asker);
	if (r < 0)
		return hak_bus_error(error, HAK_BUS_DENIED, "The caller is unknown");
	if (asker.account && calls_of(bus, asker.account) >= HAK_CALLS_OF_USER)
		return hak_bus_error(error, HAK_BUS_LIMIT,
				     "%u calls of this user wait for an answer already",
				     HAK_CALLS_OF_USER);
	if (asker.account && bus->calls_n - calls_of(bus, 0) >= HAK_CALLS_MAX)
		make_room(bus);
	call = new_call(bus, message, &asker, p, method);
	if (!call)
		return -ENOMEM;
	if (asker.uid == 0 || !method->action ||
	    (method->owner_may && owns(bus, message, asker.uid, p)))
		return run(call, error);
	snprintf(action, sizeof(action), HAK_BUS_NAME ".%s", method->action);
	r = watch_caller(call);
	if (r >= 0)
		r = hak_polkit_ask(bus->bus, message, action, p, judged, call, &call->polkit);
	if (r < 0) {
		free_call(call);
		return r;
	}
	return 1;
}
