/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl: what its files share. main.c holds the table of verbs and the options that all of them
 * take; each verb is one file with one function; options.c reads the command line by tables from
 * which the help and the shell's completion are made as well; targets.c opens processes and turns
 * errors into exit codes; bus.c asks hakmemd; answer.c prints.
 *
 * One thread, no state but struct ctl. A verb prints its answer on stdout, its complaints on
 * stderr, one line each, and returns an exit code.
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

/* Exit codes, also in hakmemctl(1). */
enum {
	CTL_OK,
	CTL_FAILED,
	CTL_USAGE,
	CTL_NOTHING, /* no process matched */
	CTL_DENIED,
	CTL_UNSUPPORTED,
};

enum ctl_argument { CTL_NO_ARGUMENT, CTL_ARGUMENT, CTL_OPTIONAL_ARGUMENT };

/* One option of a verb. `letter` doubles as what ctl_option() returns; above 255 it has no short
 * form. */
struct ctl_option {
	const char *name;
	int letter;
	enum ctl_argument argument;
	const char *argument_name; /* a word for the help; "a|b|c" also completes */
	const char *help;
};

struct ctl_verb;

struct ctl {
	const struct ctl_verb *verbs; /* all of them; ended by one without a name */
	const struct ctl_verb *verb;
	enum hak_json_mode json;
	bool legend, use_pager, color;
	const char *columns;
	const char *argument;	    /* of the option that ctl_option() returned last */
	const char *host, *machine; /* of --host and --machine; NULL: here */
	struct sd_bus *bus;	    /* NULL: not opened yet */
	size_t bus_values;	    /* in all answers that arrived on it */
	uint64_t bus_until_ns;	    /* how long it is waited for; 0: nothing was asked yet */
	pid_t agent;		    /* 0: none was started */
	pid_t ssh_words;	    /* passes on what ssh writes to stderr; 0: none does */
	int failure;		    /* exit code for a bad command line, or for --help */
};

struct ctl_verb {
	const char *name, *arguments, *help;
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const struct ctl_option *options; /* ended by one without a name; or NULL */
	bool first_ends; /* options end at the first argument: the rest is another's command line */
	bool hidden;
	bool remote; /* takes --host and --machine */
};

extern const struct ctl_option ctl_common_options[];

int verb_list(struct ctl *ctl, int argc, char **argv);
int verb_stats(struct ctl *ctl, int argc, char **argv);
int verb_get(struct ctl *ctl, int argc, char **argv);
int verb_set(struct ctl *ctl, int argc, char **argv);
int verb_reset(struct ctl *ctl, int argc, char **argv);
int verb_purge(struct ctl *ctl, int argc, char **argv);
int verb_tunables(struct ctl *ctl, int argc, char **argv);
int verb_describe(struct ctl *ctl, int argc, char **argv);
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
 * The next option of the verb: its letter, with ctl->argument; -1 when there are no more, and
 * optind is the first argument; -2 when the command line is wrong or was only about --help: the
 * verb returns ctl->failure at once. Options that all verbs take are dealt with inside.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv);

/* One line on stderr with a pointer to --help; returns CTL_USAGE, which is ctl->failure then. */
int ctl_usage(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

void ctl_help(const struct ctl *ctl, const struct ctl_verb *verb); /* NULL: all verbs */

/* --root=, of which ctl->argument is the value: *root, which is HAK_OWN_ROOT or a descriptor of an
 * earlier --root, becomes a descriptor for hak_open_in(), or HAK_OWN_ROOT for /. An exit code. */
int ctl_root_option(struct ctl *ctl, int *root);

/* -- targets.c --------------------------------------------------------------------------------- */
/*
 * Opens each process of the target and calls `each`, which returns an exit code. Where the target
 * is no PID, processes that turn out not to run hakmem, or to be gone, are passed over; other
 * failures go to stderr. Returns the first exit code that is not CTL_OK. hakmemd is not asked.
 */
int ctl_each(struct ctl *ctl, const char *target, unsigned segment_flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg), void *arg);
/*
 * The same for what is said about each process, by hakmemd for those that we may not open: `each`
 * takes the report over and returns an exit code.
 */
struct ctl_report {
	enum hak_report what;
	int (*each)(struct json_object *report, void *arg);
	void (*failed)(pid_t pid, const char *why, void *arg); /* NULL: stderr */
};
int ctl_report_each(struct ctl *ctl, const char *target, const struct ctl_report *report,
		    void *arg);
/*
 * The same for what takes an answer: each process is asked, and only then all are waited for
 * together. Their answers go into `rows`, an array.
 */
struct ctl_ask {
	const struct hak_wishes *wishes; /* one of these two */
	const struct hak_purge_how *purge;
	uint64_t timeout_ns;		/* for all answers, from when the last process was asked */
	const char *change, *who, *why; /* of wishes, for the journal: control/changes.h */
	uint64_t start_ticks; /* of the one process that is meant; 0: any that the target names */
	struct json_object *rows;
};
int ctl_ask_each(struct ctl *ctl, const char *target, const struct ctl_ask *ask);
/* CTL_OK, or CTL_FAILED, said on stderr, where processes cannot be looked at (control/proc.h). */
int ctl_check_proc(void);
/* CTL_OK and the segment, where the target names one process; else an exit code, said on stderr. */
int ctl_open_one(struct ctl *ctl, const char *target, unsigned segment_flags,
		 struct hak_segment **ret);

int ctl_exit_code(int error); /* of a negative errno */

/* -- ssh.c ------------------------------------------------------------------------------------- */
/* Opens ctl->bus on ctl->host: 0 or -errno. end: waits a moment for the last words. */
int ctl_ssh_open(struct ctl *ctl);
void ctl_ssh_end(struct ctl *ctl);

/* -- bus.c ------------------------------------------------------------------------------------- */
/*
 * hakmemd, asked on the system bus for what this user may not do alone, or of the machine that -H
 * or -M names. Errors are negative errnos with a sentence in `why`; -ENOSYS where this program was
 * built without libsystemd.
 */
struct ctl_process {
	pid_t pid;
	char *path; /* of its object */
};
struct ctl_call;

/* The processes of the target that hakmemd knows. -ENOENT: there is no hakmemd, and none was to be
 * started; -ESRCH: the target is a PID that it does not know. */
int ctl_bus_find(struct ctl *ctl, const char *target, bool start_it, struct ctl_process **ret,
		 size_t *ret_n, char why[HAK_WHY_TEXT]);
void ctl_bus_found_free(struct ctl_process *found, size_t n);

/* `ask_user`: a password may be asked for, where polkit wants one. */
int ctl_bus_report(struct ctl *ctl, const struct ctl_process *p, enum hak_report what,
		   bool ask_user, struct json_object **ret, char why[HAK_WHY_TEXT]);

/* Sends the question; ctl_bus_answer() waits for what came of it, and frees the call. */
int ctl_bus_ask(struct ctl *ctl, const struct ctl_process *p, const struct ctl_ask *ask,
		struct ctl_call **ret, char why[HAK_WHY_TEXT]);
int ctl_bus_answer(struct ctl *ctl, struct ctl_call *call, struct json_object **ret,
		   char why[HAK_WHY_TEXT]);

void ctl_bus_close(struct ctl *ctl);

/* -- agent.c ----------------------------------------------------------------------------------- */
/* Before a call for which polkit may ask the user, if this is a terminal. */
void ctl_agent_begin(struct ctl *ctl);
void ctl_agent_end(struct ctl *ctl);

/* -- answer.c ---------------------------------------------------------------------------------- */
/* Prints rows as a table, or the document, through the pager where one is used; takes the document
 * over. */
int ctl_answer(struct ctl *ctl, struct json_object *document, struct json_object *rows,
	       const struct hak_column *columns, size_t n);
/* What became of changes, a row each. */
#define CTL_CHANGE_COLUMNS 8
extern const struct hak_column ctl_change_columns[CTL_CHANGE_COLUMNS];

/* To a person who looks on: what takes so long now, and how to end it. */
void ctl_say_wait(const char *what, uint64_t ns);

/* stdout, or a pager's stdin until ctl_pager_end(). */
FILE *ctl_pager_begin(struct ctl *ctl);
void ctl_pager_end(FILE *to);

/* -- guard.c ----------------------------------------------------------------------------------- */
/* From here on stderr escapes what is written to it (control/escape.h). */
void ctl_guard_stderr(void);

/* To stderr, escaped as one message: its last character alone may end a line. What this program has
 * to say goes this way, and not by stdio. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ctl_complain_v(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* What is written to stderr between true and false is one message. */
void ctl_gather_stderr(bool gather);

/* -- get.c ------------------------------------------------------------------------------------- */
/* The tunables of the target: those named, or all, or with `changed` those that differ from their
 * default. */
int ctl_get(struct ctl *ctl, const char *target, char **names, int names_n, bool changed);

/* -- history.c --------------------------------------------------------------------------------- */
/* Who runs this, for the journal. */
#define CTL_WHO_BYTES 160
void ctl_who(char out[CTL_WHO_BYTES]);

/* -- library.c --------------------------------------------------------------------------------- */
/* The libhakmem that belongs to this program: 0, or -ENOENT with the places looked at in `why`. */
int ctl_find_library(char path[HAK_PATH_BYTES], char why[HAK_WHY_TEXT]);

/* "old" with the library in front, unless it is there already, in a new string; NULL if out of
 * memory. */
char *ctl_preload_with(const char *library, const char *old);

#endif
