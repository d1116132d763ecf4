/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl: what its files share. main.c holds the table of verbs and the options that all of them
 * take; each verb is one file with one function; options.c reads the command line by tables from
 * which the help and the shell's completion are made as well; targets.c opens processes and turns
 * errors into exit codes; answer.c prints.
 *
 * One thread, no state but struct ctl. A verb prints its answer on stdout, its complaints on
 * stderr, one line each, and returns an exit code.
 */
#ifndef HAK_CTL_H
#define HAK_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/emit.h"
#include "control/segment.h"

/* Exit codes, also in hakmemctl(1). */
enum {
	CTL_OK,
	CTL_FAILED,
	CTL_USAGE,
	CTL_NOTHING,		/* no process matched */
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
	const char *argument_name;	/* a word for the help; "a|b|c" also completes */
	const char *help;
};

struct ctl_verb;

struct ctl {
	const struct ctl_verb *verb;
	enum hak_json_mode json;
	bool legend, use_pager, color;
	const char *columns;
	const char *argument;		/* of the option that ctl_option() returned last */
	int failure;			/* exit code for a bad command line, or for --help */
};

struct ctl_verb {
	const char *name, *arguments, *help;
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const struct ctl_option *options;	/* ended by one without a name; or NULL */
	bool first_ends; /* options end at the first argument: the rest is another's command line */
	bool hidden;
};

extern const struct ctl_verb ctl_verbs[];	/* ended by one without a name */
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
int verb_run(struct ctl *ctl, int argc, char **argv);
int verb_doctor(struct ctl *ctl, int argc, char **argv);
int verb_version(struct ctl *ctl, int argc, char **argv);
int verb_complete(struct ctl *ctl, int argc, char **argv);
int verb_help(struct ctl *ctl, int argc, char **argv);

/* -- options.c --------------------------------------------------------------------------------- */
/*
 * The next option of the verb: its letter, with ctl->argument; -1 when there are no more, and
 * optind is the first argument; -2 when the command line is wrong or was only about --help: the
 * verb returns ctl->failure at once. Options that all verbs take are dealt with inside.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv);

/* One line on stderr with a pointer to --help; returns CTL_USAGE. */
int ctl_usage(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

void ctl_help(const struct ctl_verb *verb);	/* NULL: all verbs */

/* -- targets.c --------------------------------------------------------------------------------- */
/*
 * Opens each process of the target and calls `each`, which returns an exit code. Processes of `all`
 * and comm: that turn out not to run hakmem, or to be gone, are passed over; other failures go to
 * `failed` if there is one, else to stderr. Returns the first exit code that is not CTL_OK.
 */
int ctl_each(struct ctl *ctl, const char *target, unsigned segment_flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg),
	     void (*failed)(struct ctl *ctl, pid_t pid, const char *why, void *arg), void *arg);
/*
 * The same for what takes an answer: `begin` asks each process, and only then `end` waits for each,
 * with what `begin` returned. Segments stay open in between, so that all wait at the same time.
 */
int ctl_ask_each(struct ctl *ctl, const char *target, unsigned segment_flags,
		 void *(*begin)(struct ctl *ctl, struct hak_segment *seg, void *arg),
		 int (*end)(struct ctl *ctl, struct hak_segment *seg, void *state, void *arg),
		 void *arg);

/* Of hak_monotonic_ns() until then; 0 when it is over. */
uint64_t ctl_left_ns(uint64_t deadline_ns);

int ctl_exit_code(int error);	/* of a negative errno */
int ctl_result_code(const char *result);	/* of the word in a row's RESULT */

/* A new object with pid, comm and uid of the process. */
struct json_object *ctl_process(const struct hak_segment *seg);

/* Why it has not answered yet; `then` is what it does as soon as it wakes: "applied", "purged". */
void ctl_why_pending(const struct hak_segment *seg, const char *then, char why[HAK_WHY_TEXT]);

const char *ctl_library_word(enum hak_library_state state);

/* -- answer.c ---------------------------------------------------------------------------------- */
/* Prints rows as a table, or the document, through the pager where one is used; takes the document
 * over. */
int ctl_answer(struct ctl *ctl, struct json_object *document, struct json_object *rows,
	       const struct hak_column *columns, size_t n);

/* stdout, or a pager's stdin until ctl_pager_end(). */
FILE *ctl_pager_begin(struct ctl *ctl);
void ctl_pager_end(FILE *to);

/* -- get.c ------------------------------------------------------------------------------------- */
/* The tunables of the target: those named, or all, or with `changed` those that differ from their
 * default. */
int ctl_get(struct ctl *ctl, const char *target, char **names, int names_n, bool changed);

/* -- library.c --------------------------------------------------------------------------------- */
/* The libhakmem that belongs to this program: 0, or -ENOENT with the places looked at in `why`. */
int ctl_find_library(char path[HAK_PATH_BYTES], char why[HAK_WHY_TEXT]);

/* "old" with the library in front, unless it is there already, in a new string; NULL if out of
 * memory. */
char *ctl_preload_with(const char *library, const char *old);

#endif
