/* SPDX-License-Identifier: MIT */
/*
 * What the files of hakmemctl share. main.c has the table of verbs. Each verb is one file with one
 * function. options.c parses the command line by tables, from which the help and the shell
 * completion follow as well. targets.c opens processes and converts errors to exit codes. bus.c
 * sends requests to hakmemd. answer.c prints.
 *
 * There is one thread, and no state besides struct ctl. A verb prints its answer to standard output
 * and its messages to standard error, one line each, and returns an exit code.
 */
#ifndef HAK_CTL_H
#define HAK_CTL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/emit.h"
#include "control/report.h"
#include "control/request.h"
#include "control/segment.h"

/* Exit codes, see hakmemctl(1). */
enum {
	CTL_OK,
	CTL_FAILED,
	CTL_USAGE,
	CTL_NOTHING, /* no process matched */
	CTL_DENIED,
	CTL_UNSUPPORTED,
};

enum ctl_argument { CTL_NO_ARGUMENT, CTL_ARGUMENT, CTL_OPTIONAL_ARGUMENT };

/*
 * One option of a verb. `letter` is also the return value of ctl_option(). A letter has one meaning
 * in all verbs. Options that have none are below.
 */
struct ctl_option {
	const char *name;
	int letter;
	enum ctl_argument argument;
	const char *argument_name; /* a word for the help; "a|b|c" is also used for completion */
	const char *help;
};

enum {
	CTL_NO_PAGER = 256,
	CTL_ATTACH,
	CTL_ALLOC,
	CTL_CHANGED,
	CTL_COUNT,
	CTL_DELAY,
	CTL_FORCE,
	CTL_FORMAT,
	CTL_LINES,
	CTL_LIVE,
	CTL_NO_RELOAD,
	CTL_ONCE,
	CTL_REPORT,
	CTL_RUNTIME,
	CTL_SINCE,
	CTL_SORT,
	CTL_TIMEOUT,
	CTL_WINDOW,
	CTL_WRITE,
};

struct ctl_verb;

struct ctl {
	const struct ctl_verb *verbs; /* all verbs; the last one has no name */
	const struct ctl_verb *verb;
	enum hak_json_mode json;
	bool legend, use_pager, color;
	const char *columns;
	const char *argument;	    /* of the option that ctl_option() returned last */
	const char *host, *machine; /* of --host and --machine; NULL: this machine */
	struct sd_bus *bus;	    /* NULL: not opened yet */
	size_t bus_values;	    /* in all answers that arrived on it */
	uint64_t bus_until_ns;	    /* when waiting for it ends; 0: nothing was sent yet */
	pid_t agent;		    /* 0: none was started; -1: none may be */
	pid_t ssh_words;	    /* passes on the standard error of ssh; 0: none */
	int failure;		    /* exit code for an invalid command line, or for --help */
};

struct ctl_verb {
	const char *name, *arguments, *help;
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const struct ctl_option *options; /* the last one has no name; may be NULL */
	bool first_ends; /* the first argument begins the command line of another program */
	bool hidden;
	bool remote;   /* takes --host and --machine */
	bool no_table; /* takes no --columns */
};

extern const struct ctl_option ctl_common_options[];

int verb_list(struct ctl *ctl, int argc, char **argv);
int verb_stats(struct ctl *ctl, int argc, char **argv);
int verb_diff(struct ctl *ctl, int argc, char **argv);
int verb_top(struct ctl *ctl, int argc, char **argv);
int verb_get(struct ctl *ctl, int argc, char **argv);
int verb_set(struct ctl *ctl, int argc, char **argv);
int verb_reset(struct ctl *ctl, int argc, char **argv);
int verb_purge(struct ctl *ctl, int argc, char **argv);
int verb_tunables(struct ctl *ctl, int argc, char **argv);
int verb_describe(struct ctl *ctl, int argc, char **argv);
int verb_map(struct ctl *ctl, int argc, char **argv);
int verb_trace(struct ctl *ctl, int argc, char **argv);
int verb_profile(struct ctl *ctl, int argc, char **argv);
int verb_advise(struct ctl *ctl, int argc, char **argv);
int verb_run(struct ctl *ctl, int argc, char **argv);
int verb_enable(struct ctl *ctl, int argc, char **argv);
int verb_disable(struct ctl *ctl, int argc, char **argv);
int verb_status(struct ctl *ctl, int argc, char **argv);
int verb_history(struct ctl *ctl, int argc, char **argv);
int verb_undo(struct ctl *ctl, int argc, char **argv);
int verb_metrics(struct ctl *ctl, int argc, char **argv);
int verb_policy(struct ctl *ctl, int argc, char **argv);
int verb_cat_config(struct ctl *ctl, int argc, char **argv);
int verb_check(struct ctl *ctl, int argc, char **argv);
int verb_doctor(struct ctl *ctl, int argc, char **argv);
int verb_version(struct ctl *ctl, int argc, char **argv);
int verb_complete(struct ctl *ctl, int argc, char **argv);

/* -- options.c --------------------------------------------------------------------------------- */
/*
 * Returns the next option of the verb: its letter, with ctl->argument; -1 when there are no more
 * options, and optind is the first argument; -2 when the command line is invalid or has --help, and
 * the verb returns ctl->failure at once. The common options are handled inside.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv);

/* Prints one line on standard error with a pointer to --help. Returns CTL_USAGE, which is also in
 * ctl->failure. */
int ctl_usage(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

void ctl_help(const struct ctl *ctl, const struct ctl_verb *verb); /* NULL: all verbs */

/* Parses ctl->argument, the time of --OPTION. Returns CTL_OK or ctl->failure. */
int ctl_time(struct ctl *ctl, const char *option, uint64_t *ret_ns);
int ctl_time_above_zero(struct ctl *ctl, const char *option, uint64_t *ret_ns);

/* Handles --root=, whose value is ctl->argument. *root is HAK_OWN_ROOT or a descriptor of an
 * earlier --root. It becomes a descriptor for hak_open_in(), or HAK_OWN_ROOT for /. Returns an exit
 * code. */
int ctl_root_option(struct ctl *ctl, int *root);

/* -- targets.c --------------------------------------------------------------------------------- */
/*
 * Opens each process of the target and calls `each`, which returns an exit code. If the target is
 * no PID, processes that do not run hakmem or have ended are skipped. Other failures are printed on
 * standard error. Returns the first exit code that is not CTL_OK. Does not use hakmemd.
 */
int ctl_each(struct ctl *ctl, const char *target, unsigned segment_flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg), void *arg);
/*
 * The same for reports about each process. hakmemd makes the reports of processes to which access
 * is denied. `each` takes the report over and returns an exit code.
 */
struct ctl_report {
	enum hak_report what;
	int (*each)(struct json_object *report, void *arg);
	void (*failed)(pid_t pid, const char *why, void *arg); /* NULL: print on standard error */
};
int ctl_report_each(struct ctl *ctl, const char *target, const struct ctl_report *report,
		    void *arg);
/*
 * The same for requests: each process is asked, and only then all answers are awaited together. The
 * answers go into `rows`, an array.
 */
struct ctl_ask {
	const struct hak_wishes *wishes; /* exactly one of these two is set */
	const struct hak_purge_how *purge;
	uint64_t timeout_ns;		/* for all answers, from the last request on */
	const char *change, *who, *why; /* of wishes, for the journal: control/changes.h */
	uint64_t start_ticks; /* of the one process that is meant; 0: any process of the target */
	bool attach;	      /* a process that does not answer is traced: attach.c */
	struct json_object *rows;
};
int ctl_ask_each(struct ctl *ctl, const char *target, const struct ctl_ask *ask);
/* For a verb that asks again and again: the limits on the time and the size of hakmemd's answers
 * count from here. */
void ctl_begin_round(struct ctl *ctl);
/* Returns CTL_OK, or CTL_FAILED after a message if processes cannot be read (control/proc.h). */
int ctl_check_proc(void);
/* Returns CTL_OK and the segment if the target names one process, and else an exit code after a
 * message. */
int ctl_open_one(struct ctl *ctl, const char *target, unsigned segment_flags,
		 struct hak_segment **ret);

int ctl_exit_code(int error); /* of a negative errno */

/* -- attach.c ---------------------------------------------------------------------------------- */
/*
 * Has a thread of the process carry out the request that was made of it. Returns 0, or -errno with
 * a sentence in `why`. May fork.
 */
int ctl_attach(const struct hak_segment *seg, uint64_t until_ns, char why[HAK_WHY_TEXT]);

/* -- ssh.c ------------------------------------------------------------------------------------- */
/* Opens ctl->bus on ctl->host: 0 or -errno. ctl_ssh_end() waits a moment for the last output of
 * ssh. */
int ctl_ssh_open(struct ctl *ctl);
void ctl_ssh_end(struct ctl *ctl);

/* -- bus.c ------------------------------------------------------------------------------------- */
/*
 * Requests to hakmemd on the system bus, for access that this user does not have alone, or on the
 * machine that -H or -M names. Errors are negative errnos with a sentence in `why`; -ENOSYS in a
 * build without libsystemd.
 */
struct ctl_process {
	pid_t pid;
	char *path; /* of its object */
};
struct ctl_call;

/* The processes of the target that hakmemd knows. -ENOENT: there is no hakmemd, and none was to be
 * started; -ESRCH: the target is a PID that hakmemd does not know. */
int ctl_bus_find(struct ctl *ctl, const char *target, bool start_it, struct ctl_process **ret,
		 size_t *ret_n, char why[HAK_WHY_TEXT]);
void ctl_bus_found_free(struct ctl_process *found, size_t n);

/* `ask_user`: polkit may ask for a password. */
int ctl_bus_report(struct ctl *ctl, const struct ctl_process *p, enum hak_report what,
		   bool ask_user, struct json_object **ret, char why[HAK_WHY_TEXT]);

/* Sends the request. ctl_bus_answer() waits for its result, and frees the call. */
int ctl_bus_ask(struct ctl *ctl, const struct ctl_process *p, const struct ctl_ask *ask,
		struct ctl_call **ret, char why[HAK_WHY_TEXT]);
int ctl_bus_answer(struct ctl *ctl, struct ctl_call *call, struct json_object **ret,
		   char why[HAK_WHY_TEXT]);

void ctl_bus_close(struct ctl *ctl);

/* What is on the system bus of this machine. */
struct ctl_bus_look {
	bool daemon, daemon_starts; /* hakmemd is there; the bus could start it */
	size_t problems;	    /* in hakmemd's policy files */
	bool polkit, actions;	    /* polkit answers, and knows the actions of hakmem */
};
/* Returns 0; -ECONNREFUSED without a bus, or -ENOSYS, with a sentence. */
int ctl_bus_look(struct ctl_bus_look *ret, char why[HAK_WHY_TEXT]);

/* -- ttyagent.c -------------------------------------------------------------------------------- */
/* Called before a call for which polkit may ask the user, if there is a terminal. */
void ctl_agent_begin(struct ctl *ctl);
void ctl_agent_end(struct ctl *ctl);

/* -- answer.c ---------------------------------------------------------------------------------- */
/* Prints the rows as a table, or the document, through the pager if one is used. Takes the document
 * over. */
int ctl_answer(struct ctl *ctl, struct json_object *document, struct json_object *rows,
	       const struct hak_column *columns, size_t n);
/* The results of changes, one row each. */
#define CTL_CHANGE_COLUMNS 11
extern const struct hak_column ctl_change_columns[CTL_CHANGE_COLUMNS];

/* Writes a moment, in us of CLOCK_REALTIME, as local time: "2026-03-01 12:00:00". */
#define CTL_TIME_BYTES 32
void ctl_time_text(uint64_t us, char out[CTL_TIME_BYTES]);
/* Adds the moment at which the value of each row ends, as text; null: it does not. */
void ctl_add_until(struct json_object *rows);

/* Tells the user at a terminal what takes so long, and how to end it. */
void ctl_say_wait(const char *what, uint64_t ns);

/* Standard output, or the standard input of a pager until ctl_pager_end(). */
FILE *ctl_pager_begin(struct ctl *ctl);
void ctl_pager_end(FILE *to);

/* -- format.c ---------------------------------------------------------------------------------- */
enum ctl_format {
	CTL_FORMAT_NONE,
	CTL_FORMAT_TEXT,
	CTL_FORMAT_JSON,
	CTL_FORMAT_SVG,
	CTL_FORMAT_FOLDED,
	CTL_FORMAT_PPROF,
	CTL_FORMATS,
};

/* Returns the format that the suffix of a file's name means; CTL_FORMAT_NONE: none of these. */
enum ctl_format ctl_format_of(const char *path);
const char *ctl_format_word(enum ctl_format format);

/* Complains that --output has a suffix for another format than the option. Returns CTL_USAGE. */
int ctl_contradiction(struct ctl *ctl, const char *option, enum ctl_format format);

/* Prints on standard error what was written where. */
void ctl_say_written(const char *what, enum ctl_format format, size_t bytes, const char *path);

/* -- interrupt.c ------------------------------------------------------------------------------- */
/* From the first call on SIGINT, SIGTERM and SIGHUP end a wait, and not this program. */
void ctl_catch_interrupts(void);
bool ctl_interrupted(void);

/* -- guard.c ----------------------------------------------------------------------------------- */
/* From here on, output to standard error is escaped (control/escape.h). */
void ctl_guard_stderr(void);

/* Prints one message on standard error, escaped. Only its last character may end a line. This
 * program prints its messages by this function, and not by stdio. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ctl_complain_v(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/*
 * Shows the progress of long work on a terminal, in one line of standard error that each call
 * replaces, and that the next message or ctl_progress_end() removes. Writes nothing where standard
 * error is no terminal. `what` is a literal, which is not escaped. 0 for whole_ns: the duration is
 * not known.
 */
void ctl_progress(const char *what, uint64_t done_ns, uint64_t whole_ns);
void ctl_progress_end(void);

/* From here on, the last message is kept in `text`, raw, and standard error is left alone. NULL
 * ends that. For a verb whose screen a message would spoil. */
void ctl_hold_messages(char *text, size_t bytes);

/* Output to standard error between true and false is one message. */
void ctl_gather_stderr(bool gather);

/* -- trace/trace.c ----------------------------------------------------------------------------- */
/*
 * Loads the programs of a trace into the kernel, and removes them. Returns 0, -EINPROGRESS if only
 * some were loaded, another negative errno if none was, and -ENOSYS in a build without them; always
 * with a sentence.
 */
int ctl_bpf_check(char why[HAK_WHY_TEXT]);

/* -- get.c ------------------------------------------------------------------------------------- */
/* Prints tunables of the target: the named ones, all, or with `changed` those that differ from the
 * default. */
int ctl_get(struct ctl *ctl, const char *target, char **names, int names_n, bool changed);

/* -- watch.c ----------------------------------------------------------------------------------- */
/* Prints rates of the target again and again, until it ends. Returns an exit code. */
int ctl_watch(struct ctl *ctl, const char *target, bool classes, uint64_t pause_ns);

/* -- history.c --------------------------------------------------------------------------------- */
/* The user who runs this program, for the journal. */
#define CTL_WHO_BYTES 160
void ctl_who(char out[CTL_WHO_BYTES]);

/* -- library.c --------------------------------------------------------------------------------- */
/* Finds the libhakmem that belongs to this program. Returns 0, or -ENOENT with the places searched
 * in `why`. */
int ctl_find_library(char path[HAK_PATH_BYTES], char why[HAK_WHY_TEXT]);

/* Returns "old" with the library in front, unless `old` contains it, in a new string; NULL if out
 * of memory. */
char *ctl_preload_with(const char *library, const char *old);

#endif
