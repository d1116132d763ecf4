/* SPDX-License-Identifier: MIT */
/*
 * org.hakmem.Hakmem1, the D-Bus interface of the daemon, which org.hakmem.Hakmem1(5) describes.
 *
 * bus-base.c makes connections and errors. bus.c holds the connection, the object of the manager
 * and the signals. bus-process.c holds the objects of processes. call.c handles one method call
 * from its arrival to its answer, and decides whether the caller may make it. askers.c limits the
 * time of each user. credentials.c asks dbus-daemon, and polkit.c asks polkit.
 *
 * All of this runs in the daemon's one thread, and nothing waits for a process or for polkit. The
 * daemon waits only for dbus-daemon: for the user behind a call, and when dbus-daemon does not take
 * the answers as fast as it delivers calls, so that a flood of calls does not make the daemon grow.
 *
 * Any process of the machine can be the receiver of an answer. Strings that other processes choose
 * are escaped, because D-Bus takes valid UTF-8 only. Each user may read which processes there are,
 * their identities, their policies and their tunables, as for the units of systemd. Counters, and
 * all methods that change something, are open to the owner of the process, to root, and to users
 * that polkit allows.
 */
#ifndef HAK_BUS_H
#define HAK_BUS_H

#include <systemd/sd-bus.h>

#include "control/bus.h"
#include "control/request.h"
#include "hakmemd/askers.h"
#include "hakmemd/process.h"

/* Long enough for the path of each process. */
#define HAK_BUS_PATH_BYTES 96

/* The limits on unanswered calls of one user, and of all users except root. Beyond a limit, the
 * user with most of them loses one. */
#define HAK_CALLS_OF_USER 32u
#define HAK_CALLS_MAX	  256u

struct hak_call;

struct hak_bus {
	struct hak_manager *manager;
	sd_bus *bus;
	char *address;		/* NULL: the system bus */
	bool ready;		/* the daemon owns the name; no client calls before that */
	sd_event_source *again; /* connects again after the connection broke */
	uint64_t again_us;
	struct hak_askers *askers;
	struct hak_call *calls, *last_call; /* list */
	unsigned calls_n;
	uint64_t calls_begun;
	sd_event_source *look; /* reads the answers of processes; off while no call waits */
	uint64_t look_us;
};

/*
 * Connects to `address`, or to the system bus if it is NULL. Returns 0 also if there is no bus yet:
 * the daemon works without a bus, and connects when the bus appears. Returns -errno, logged, if the
 * address is invalid. hak_bus_stop() accepts NULL.
 */
int hak_bus_start(struct hak_manager *m, const char *address, struct hak_bus **ret);
void hak_bus_stop(struct hak_bus *bus);

/* -- bus-base.c -------------------------------------------------------------------------------- */
/* Makes a connection to the bus at `address`, for sd_bus_start(). Returns 0 or -errno. The caller
 * unreferences *ret in either case. */
int hak_bus_open(const char *address, sd_bus **ret);

/*
 * sd_bus_error_setf() with the text escaped. The text contains strings that callers and processes
 * choose, and D-Bus refuses a text that is cut inside a character.
 */
int hak_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* -- bus-process.c ----------------------------------------------------------------------------- */
/* Adds the objects below HAK_BUS_PROCESSES to a new connection. */
int hak_bus_add_processes(struct hak_bus *bus);
void hak_bus_process_path(const struct hak_process *p, char ret[HAK_BUS_PATH_BYTES]);
/* Signals that an object was added or removed, or that its properties changed. */
void hak_bus_process_added(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_process_removed(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_process_changed(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_value_changed(struct hak_bus *bus, const struct hak_process *p, uint32_t index);

/* -- call.c ------------------------------------------------------------------------------------ */
/*
 * One kind of method. `run` is called when the caller is allowed to call the method. `p` is the
 * process of the object, or NULL for the manager. `run` answers the call (sd_bus_reply_*), or hands
 * a request over by hak_call_wait(), or returns a negative errno or sd_bus_error_setf().
 */
struct hak_method {
	const char *action; /* the action of polkit, without HAK_BUS_NAME "." */
	bool owner_may;	    /* the owner of the process needs no authorization */
	int (*run)(struct hak_call *call, struct hak_process *p, sd_bus_error *error);
	/* Writes the answer to a request; takes `rows` over. */
	int (*answer)(sd_bus_message *message, struct json_object *rows);
};

/* Returns the result of a handler in a vtable. */
int hak_call_begin(struct hak_bus *bus, sd_bus_message *message, struct hak_process *p,
		   const struct hak_method *method, sd_bus_error *error);

sd_bus_message *hak_call_message(const struct hak_call *call);
struct hak_bus *hak_call_bus(const struct hak_call *call);
/* Takes the request over. The method's `answer` is called when the process has answered or ended,
 * or when the time is over. */
int hak_call_wait(struct hak_call *call, struct hak_request *request, uint64_t timeout_us);

/* The process ends, or executes another program. The calls about the process get their last
 * answer. */
void hak_calls_of_process_end(struct hak_bus *bus, struct hak_process *p);
/* The connection is closed, and no caller waits any more. */
void hak_calls_drop(struct hak_bus *bus);

/* -- polkit.c ---------------------------------------------------------------------------------- */
/*
 * Asks polkit whether the sender of `message` may do `action` to the process `p`, which may be
 * NULL. `done` gets 0, or a negative error with a sentence: -EACCES, or -ENOTUNIQ if polkit would
 * ask the user for a password and the call does not allow that. `done` is not called after *ret was
 * unreferenced.
 */
int hak_polkit_ask(sd_bus *bus, sd_bus_message *message, const char *action,
		   const struct hak_process *p,
		   void (*done)(int result, const char *why, void *arg), void *arg,
		   sd_bus_slot **ret);

#endif
