/* SPDX-License-Identifier: MIT */
/*
 * org.hakmem.Hakmem1: what the daemon knows and can do, on D-Bus. org.hakmem.Hakmem1(5) describes
 * it.
 *
 * bus-base.c makes connections and errors; bus.c holds the connection, the manager's object and the
 * signals; bus-process.c the processes' objects; call.c one method call from its arrival to its
 * answer, and who may make it; askers.c which user that is and how much one may ask; credentials.c
 * asks dbus-daemon, polkit.c asks polkit. All in the daemon's one thread, none of it waits for a
 * process or for polkit. Only dbus-daemon is waited for: for the user behind a call, and when it
 * does not take our answers as fast as it sends questions, so that no flood of questions makes us
 * grow.
 *
 * Whoever is answered may be anybody on the machine. Strings of strangers go out escaped: D-Bus
 * takes valid UTF-8 only. The processes, who they are, their policy and their tunables are for
 * everybody to read, as systemd's units are; counters, and all that changes something, for the user
 * whose process it is, for root, and for whom polkit allows it.
 */
#ifndef HAK_BUS_H
#define HAK_BUS_H

#include <systemd/sd-bus.h>

#include "control/bus.h"
#include "control/request.h"
#include "hakmemd/askers.h"
#include "hakmemd/process.h"

/* Long enough for every process's path. */
#define HAK_BUS_PATH_BYTES 96

/* Unanswered calls of one user, and of all but root's: when there are too many, who has most of
 * them loses one. */
#define HAK_CALLS_OF_USER 32u
#define HAK_CALLS_MAX	  256u

struct hak_call;

struct hak_bus {
	struct hak_manager *manager;
	sd_bus *bus;
	char *address;		/* NULL: the system's */
	bool ready;		/* the name is ours; before that nobody listens */
	sd_event_source *again; /* connects anew after the connection broke */
	uint64_t again_us;
	struct hak_askers *askers;
	struct hak_call *calls, *last_call; /* list */
	unsigned calls_n;
	uint64_t calls_begun;
	sd_event_source *look; /* for answers of processes; off while no call waits */
	uint64_t look_us;
};

/*
 * Connects to `address`, or where it is NULL to the system bus. 0 also where there is no bus yet:
 * the daemon works without, and takes it up when it comes. -errno, logged, for an address that
 * makes no sense. hak_bus_stop() takes NULL.
 */
int hak_bus_start(struct hak_manager *m, const char *address, struct hak_bus **ret);
void hak_bus_stop(struct hak_bus *bus);

/* -- bus-base.c -------------------------------------------------------------------------------- */
/* A connection to the bus at `address`, for sd_bus_start(): 0 or -errno, and *ret is for the caller
 * to unref in either case. */
int hak_bus_open(const char *address, sd_bus **ret);

/*
 * sd_bus_error_setf() with the text escaped: it holds what callers and processes made up, and D-Bus
 * takes no text that is cut amid a character.
 */
int hak_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* -- bus-process.c ----------------------------------------------------------------------------- */
/* The objects below HAK_BUS_PROCESSES, on a new connection. */
int hak_bus_add_processes(struct hak_bus *bus);
void hak_bus_process_path(const struct hak_process *p, char ret[HAK_BUS_PATH_BYTES]);
/* Signals: it came or goes; what is in properties changed. */
void hak_bus_process_added(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_process_removed(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_process_changed(struct hak_bus *bus, const struct hak_process *p);
void hak_bus_value_changed(struct hak_bus *bus, const struct hak_process *p, uint32_t index);

/* -- call.c ------------------------------------------------------------------------------------ */
/*
 * One kind of method. `run` is called when the caller may do it, `p` being the process it is about
 * (NULL for the manager's): it answers the call (sd_bus_reply_*), or hands a request over by
 * hak_call_wait(), or returns a negative errno or sd_bus_error_setf().
 */
struct hak_method {
	const char *action; /* behind HAK_BUS_NAME "."; for polkit */
	bool owner_may;	    /* the process's own user needs nobody's leave */
	int (*run)(struct hak_call *call, struct hak_process *p, sd_bus_error *error);
	/* The answer to a request; takes `rows` over. */
	int (*answer)(sd_bus_message *message, struct json_object *rows);
};

/* What a vtable's handler returns. */
int hak_call_begin(struct hak_bus *bus, sd_bus_message *message, struct hak_process *p,
		   const struct hak_method *method, sd_bus_error *error);

sd_bus_message *hak_call_message(const struct hak_call *call);
struct hak_bus *hak_call_bus(const struct hak_call *call);
/* Takes the request over; the method's `answer` is called when the process answered, ended, or
 * let the time pass. */
int hak_call_wait(struct hak_call *call, struct hak_request *request, uint64_t timeout_us);

/* The process ends, or executes another program: the calls about it get their last answer. */
void hak_calls_of_process_end(struct hak_bus *bus, struct hak_process *p);
/* The connection is gone: nobody waits any more. */
void hak_calls_drop(struct hak_bus *bus);

/* -- polkit.c ---------------------------------------------------------------------------------- */
/*
 * Asks polkit whether the sender of `message` may do `action`, to the process `p` or NULL. `done`
 * is told 0, or a negative error with a sentence: -EACCES; -ENOTUNIQ where a user could be asked
 * for a password if the caller allowed it. Not called once *ret was unreferenced.
 */
int hak_polkit_ask(sd_bus *bus, sd_bus_message *message, const char *action,
		   const struct hak_process *p,
		   void (*done)(int result, const char *why, void *arg), void *arg,
		   sd_bus_slot **ret);

#endif
