/* SPDX-License-Identifier: MIT */
/*
 * Policies: the settings that an administrator wants for groups of processes. One file NAME.policy
 * is one policy (hakmem.policy(5)).
 *
 * For hakmemd, which applies them, and hakmemctl, which explains them without a daemon. A set is
 * made once from all files and never changes. Its policies are in order of precedence: first by
 * what they match without wildcards, then by what they match with wildcards, each in the order of
 * enum hak_match; then more letters in their globs, then the later name. Each single setting of a
 * process comes from the first policy in that order that matches the process and has the setting.
 *
 * A bad line is left out. A bad line in [Match] leaves out the whole policy, which would otherwise
 * reach processes for which it was not meant. Both are kept as problems.
 */
#ifndef HAK_POLICY_H
#define HAK_POLICY_H

#include "control/conf.h"
#include "control/identity.h"
#include "control/abi/schema.h"

/* In order of precedence. */
enum hak_match {
	HAK_MATCH_UNIT,
	HAK_MATCH_CGROUP,
	HAK_MATCH_EXE,
	HAK_MATCH_COMMAND,
	HAK_MATCH_USER,
	HAK_MATCH_SLICE,
	HAK_MATCHES
};

/* Settings other than tunables. HAK_SET_<SYM> is a bit in hak_policy.has. */
enum hak_setting {
	HAK_SET_THRESHOLD,
	HAK_SET_WINDOW,
	HAK_SET_ACTION,
	HAK_SET_COOLDOWN,
	HAK_SET_CACHED_MAX,
	HAK_SET_IDLE_PURGE,
	HAK_SETTINGS
};

struct hak_policy {
	char *name; /* of the file, without .policy */
	char *path;
	char **pattern[HAK_MATCHES];	/* NULL, or globs ended by NULL: one of them must match */
	uint32_t exact, globs;		/* bits of its matches, without and with wildcards */
	uint32_t letters;		/* fewest letters other than wildcards in its globs */
	uint64_t tunable[HAK_TUNABLES]; /* values, in the order of hak_tunable_rows */
	bool has_tunable[HAK_TUNABLES];
	uint64_t setting[HAK_SETTINGS]; /* see hak_effect for units */
	bool has[HAK_SETTINGS];
	bool threshold_is_percent; /* of the window, in thousandths */
	unsigned bad_lines;	   /* of its file, left out */
};

struct hak_policy_problem {
	char *path;
	unsigned line; /* 0: of the file as a whole */
	char *why;
};

struct hak_policy_set {
	struct hak_policy **policy; /* in order of precedence */
	size_t n;
	struct hak_conf_file *file; /* all files found, also bad and masked ones */
	size_t files_n;
	struct hak_policy_problem *problem;
	size_t problems_n;
};

/*
 * Loads the folders of `path`, see hak_conf_files(). Returns 0 or -errno; bad files are no error.
 */
int hak_policy_load(const char *path, struct hak_policy_set **ret);
void hak_policy_free(struct hak_policy_set *set); /* or NULL */

/* Adds one policy from a text to the set, with its problems. For tests and fuzzing. */
int hak_policy_add(struct hak_policy_set *set, const char *path, const char *text, size_t bytes);
void hak_policy_sort(struct hak_policy_set *set);

/* Returns the folders that hold policies, in a new string ($HAKMEM_POLICY_PATH replaces them). */
char *hak_policy_path(void);

/* id->user is needed only where hak_policy_needs_user() says so. */
bool hak_policy_matches(const struct hak_policy *policy, const struct hak_identity *id);
bool hak_policy_needs_user(const struct hak_policy_set *set);

/* What a process is to get, and from which policy each setting comes; NULL: from none. */
struct hak_effect {
	const struct hak_policy *first; /* the matching policy of highest precedence */
	unsigned matched;		/* how many match */
	const struct hak_policy *tunable_of[HAK_TUNABLES];
	const struct hak_policy *of[HAK_SETTINGS];
	uint64_t tunable[HAK_TUNABLES];
	bool pressure;			  /* some policy has a [Pressure] section for it */
	uint64_t threshold_us, window_us; /* defaults filled in: 150 ms, 2 s */
	uint64_t cooldown_us;		  /* 10 s */
	unsigned action;		  /* enum hak_purge_level; dirty */
	uint64_t cached_max;		  /* bytes; UINT64_MAX: no limit */
	uint64_t idle_purge_us;		  /* 0: never */
};
void hak_policy_effect(const struct hak_policy_set *set, const struct hak_identity *id,
		       struct hak_effect *ret);

const char *hak_match_word(unsigned match);	/* "Unit" */
const char *hak_setting_word(unsigned setting); /* "Threshold" */

/* Writes the value of a policy's setting as it would stand in a file. */
void hak_setting_format(const struct hak_policy *policy, unsigned setting,
			char out[HAK_VALUE_TEXT]);

#endif
