/* SPDX-License-Identifier: MIT */
/*
 * Policies: parsing, precedence, matching; see policy.h.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/nearest.h"
#include "control/policy.h"

#define US	     1000u /* nanoseconds */
#define PATTERNS_MAX 256u  /* of one kind in one file */
#define LINES_MAX    16u   /* most bad lines reported for one file */
#define LEVELS_MAX   64u   /* most control groups around a group */
#define COMM_LENGTH  15	   /* the length that the kernel keeps */

#define THRESHOLD_US 150000u
#define WINDOW_US    2000000u
#define COOLDOWN_US  10000000u
/* The kernel's own bounds on the window of a trigger. */
#define WINDOW_MIN_US 500000u
#define WINDOW_MAX_US 10000000u

enum how { TIME, TIME_OR_SHARE, LEVEL, BYTES };

static const struct setting {
	const char *section, *name;
	enum how how;
	uint64_t min_us, max_us;
} settings[HAK_SETTINGS] = {
	[HAK_SET_THRESHOLD] = { "Pressure", "Threshold", TIME_OR_SHARE, 1000, WINDOW_MAX_US },
	[HAK_SET_WINDOW] = { "Pressure", "Window", TIME, WINDOW_MIN_US, WINDOW_MAX_US },
	[HAK_SET_ACTION] = { "Pressure", "Action", LEVEL },
	[HAK_SET_COOLDOWN] = { "Pressure", "Cooldown", TIME, 0, 86400000000 },
	[HAK_SET_CACHED_MAX] = { "Limit", "CachedMax", BYTES },
	[HAK_SET_IDLE_PURGE] = { "Limit", "IdlePurgeAfter", TIME, 1000000, 86400000000 },
};

static const char *const match_words[HAK_MATCHES] = {
	[HAK_MATCH_UNIT] = "Unit",	 [HAK_MATCH_CGROUP] = "Cgroup", [HAK_MATCH_EXE] = "Exe",
	[HAK_MATCH_COMMAND] = "Command", [HAK_MATCH_USER] = "User",	[HAK_MATCH_SLICE] = "Slice",
};

static const struct hak_spec bytes_spec = {
	.name = "CachedMax",
	.values = "",
	.type = HAK_TYPE_UINT,
	.unit = HAK_UNIT_BYTES,
	.max = UINT64_MAX,
};

const char *hak_match_word(unsigned match)
{
	return match < HAK_MATCHES ? match_words[match] : "?";
}

const char *hak_setting_word(unsigned setting)
{
	return setting < HAK_SETTINGS ? settings[setting].name : "?";
}

/* -- [Match] ----------------------------------------------------------------------------------- */
static void free_patterns(char **patterns)
{
	for (char **p = patterns; p && *p; p++)
		free(*p);
	free(patterns);
}

static size_t count_patterns(char **patterns)
{
	size_t n = 0;

	while (patterns && patterns[n])
		n++;
	return n;
}

static int add_pattern(char ***patterns, const char *text, size_t bytes)
{
	size_t n = count_patterns(*patterns);
	char **grown = realloc(*patterns, (n + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*patterns = grown;
	grown[n + 1] = NULL;
	grown[n] = strndup(text, bytes);
	return grown[n] ? 0 : -ENOMEM;
}

/* Takes words; another line may add more; an empty value drops the words before it. */
static int take_match(struct hak_policy *policy, const char *name, const char *value,
		      char why[HAK_WHY_TEXT])
{
	unsigned kind = 0;

	while (kind < HAK_MATCHES && strcmp(match_words[kind], name) != 0)
		kind++;
	if (kind == HAK_MATCHES) {
		snprintf(why, HAK_WHY_TEXT,
			 "there is no \"%.40s\" in [Match]; there are Unit, "
			 "Cgroup, Exe, Command, User and Slice",
			 name);
		return -EINVAL;
	}
	if (!*value) {
		free_patterns(policy->pattern[kind]);
		policy->pattern[kind] = NULL;
	}
	while (*value) {
		bool path = kind == HAK_MATCH_CGROUP || kind == HAK_MATCH_EXE;
		size_t n = strcspn(value, " \t");

		if (path && !strchr("/*?[", *value)) {
			snprintf(why, HAK_WHY_TEXT,
				 "\"%.80s\" is no path; %s= takes those that "
				 "begin with / or a wildcard",
				 value, name);
			return -EINVAL;
		}
		if (count_patterns(policy->pattern[kind]) == PATTERNS_MAX) {
			snprintf(why, HAK_WHY_TEXT, "more than %u patterns", PATTERNS_MAX);
			return -E2BIG;
		}
		if (add_pattern(&policy->pattern[kind], value, n) < 0) {
			snprintf(why, HAK_WHY_TEXT, "out of memory");
			return -ENOMEM;
		}
		value += n;
		value += strspn(value, " \t");
	}
	return 0;
}

static uint32_t letters_of(const char *pattern)
{
	uint32_t n = 0;

	for (; *pattern; pattern++)
		n += !strchr("*?[]", *pattern);
	return n;
}

/* Called after all lines of [Match]. */
static void rank(struct hak_policy *policy)
{
	policy->letters = UINT32_MAX;
	for (unsigned kind = 0; kind < HAK_MATCHES; kind++) {
		uint32_t bit = 1u << (HAK_MATCHES - 1 - kind);
		bool globs = false;

		if (!policy->pattern[kind])
			continue;
		for (char **p = policy->pattern[kind]; *p; p++) {
			if (!strpbrk(*p, "*?["))
				continue;
			globs = true;
			if (letters_of(*p) < policy->letters)
				policy->letters = letters_of(*p);
		}
		if (globs)
			policy->globs |= bit;
		else
			policy->exact |= bit;
	}
}

static int compare(uint32_t a, uint32_t b)
{
	return (a < b) - (a > b);
}

static int by_precedence(const void *a, const void *b)
{
	const struct hak_policy *x = *(struct hak_policy *const *)a;
	const struct hak_policy *y = *(struct hak_policy *const *)b;
	int r = compare(x->exact, y->exact);

	if (r == 0)
		r = compare(x->globs, y->globs);
	if (r == 0)
		r = compare(x->letters, y->letters);
	return r ? r : strcmp(y->name, x->name);
}

/* -- the other sections ------------------------------------------------------------------------ */
static int take_tunable(struct hak_policy *policy, const char *name, const char *value,
			char why[HAK_WHY_TEXT])
{
	const struct hak_tunable_row *row = hak_tunable_row_find(name);
	struct hak_spec spec;
	char accepts[HAK_WHY_TEXT];
	uint64_t number;
	size_t i;
	int r;

	if (!row) {
		hak_nearest_tunable(name, accepts);
		snprintf(why, HAK_WHY_TEXT,
			 "there is no tunable \"%.40s\"%.120s (hakmem-tunables(7))", name, accepts);
		return -EINVAL;
	}
	i = (size_t)(row - hak_tunable_rows);
	if (!*value) {
		policy->has_tunable[i] = false;
		return 0;
	}
	if (row->when == HAK_WHEN_START) {
		snprintf(why, HAK_WHY_TEXT,
			 "%s takes effect at the start of a process only; set "
			 "it in HAKMEM=",
			 row->name);
		return -EINVAL;
	}
	spec = hak_spec_of_row(row);
	r = hak_value_parse(&spec, value, &number, why);
	if (r < 0)
		return r;
	if (hak_spec_clamp(&spec, number) != number) {
		hak_spec_accepts(&spec, accepts);
		snprintf(why, HAK_WHY_TEXT, "\"%.40s\" is out of range; %s takes %.200s", value,
			 row->name, accepts);
		return -ERANGE;
	}
	policy->tunable[i] = number;
	policy->has_tunable[i] = true;
	return 0;
}

static int parse_time(const struct setting *s, const char *value, uint64_t *ret,
		      char why[HAK_WHY_TEXT])
{
	char min[HAK_VALUE_TEXT], max[HAK_VALUE_TEXT];
	uint64_t ns;
	int r = hak_duration_parse(value, &ns, why);

	if (r < 0)
		return r;
	if (ns / US < s->min_us || ns / US > s->max_us) {
		hak_ns_format(s->min_us * US, min);
		hak_ns_format(s->max_us * US, max);
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\" is out of range; %s takes a time from %s "
			 "to %s",
			 value, s->name, s->min_us ? min : "0", max);
		return -ERANGE;
	}
	*ret = ns / US;
	return 0;
}

/* Parses "12.5%" to thousandths of the window, in any locale. */
static int parse_share(const char *value, uint64_t *ret, char why[HAK_WHY_TEXT])
{
	unsigned whole = 0, tenths = 0;
	int end = 0;

	if (sscanf(value, "%4u%%%n", &whole, &end) != 1 || !end)
		sscanf(value, "%4u.%1u%%%n", &whole, &tenths, &end);
	if (!end || value[end] || whole * 10 + tenths < 1 || whole * 10 + tenths > 1000) {
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\" is no share of the window; Threshold takes "
			 "0.1%% to 100%%, or a time",
			 value);
		return -EINVAL;
	}
	*ret = whole * 10 + tenths;
	return 0;
}

static int parse_setting(struct hak_policy *policy, unsigned i, const char *value, uint64_t *ret,
			 char why[HAK_WHY_TEXT])
{
	bool share = settings[i].how == TIME_OR_SHARE && strchr(value, '%');
	int r;

	switch (settings[i].how) {
	case LEVEL:
		*ret = hak_purge_level_of(value);
		if (*ret)
			return 0;
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\" is no level; Action takes cache, dirty or "
			 "all",
			 value);
		return -EINVAL;
	case BYTES:
		return hak_value_parse(&bytes_spec, value, ret, why);
	default:
		r = share ? parse_share(value, ret, why)
			  : parse_time(&settings[i], value, ret, why);
		if (r == 0 && settings[i].how == TIME_OR_SHARE)
			policy->threshold_is_percent = share;
		return r;
	}
}

static int take_setting(struct hak_policy *policy, const struct hak_conf_line *line,
			char why[HAK_WHY_TEXT])
{
	size_t used;
	int r;

	for (unsigned i = 0; i < HAK_SETTINGS; i++) {
		if (strcmp(settings[i].section, line->section) != 0 ||
		    strcmp(settings[i].name, line->name) != 0)
			continue;
		policy->has[i] = false;
		if (!*line->value)
			return 0;
		r = parse_setting(policy, i, line->value, &policy->setting[i], why);
		policy->has[i] = r == 0;
		return r;
	}
	used = (size_t)snprintf(why, HAK_WHY_TEXT, "there is no \"%.40s\" in [%s]; there are",
				line->name, line->section);
	for (unsigned i = 0; i < HAK_SETTINGS && used < HAK_WHY_TEXT; i++)
		if (strcmp(settings[i].section, line->section) == 0)
			used += (size_t)snprintf(why + used, HAK_WHY_TEXT - used, " %s",
						 settings[i].name);
	return -EINVAL;
}

/* -- a file ------------------------------------------------------------------------------------ */
struct loading {
	struct hak_policy_set *set;
	struct hak_policy *policy;
	bool bad_match;
	unsigned bad_lines;
};

static int add_problem(struct hak_policy_set *set, const char *path, unsigned line, const char *why)
{
	struct hak_policy_problem *grown, problem = { .line = line };

	grown = realloc(set->problem, (set->problems_n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	set->problem = grown;
	problem.path = strdup(path);
	problem.why = strdup(why);
	if (!problem.path || !problem.why) {
		free(problem.path);
		free(problem.why);
		return -ENOMEM;
	}
	grown[set->problems_n++] = problem;
	return 0;
}

static int see(const struct hak_conf_line *line, void *arg, char why[HAK_WHY_TEXT])
{
	struct loading *l = arg;

	if (strcmp(line->section, "Match") == 0)
		return take_match(l->policy, line->name, line->value, why);
	if (strcmp(line->section, "Tunables") == 0)
		return take_tunable(l->policy, line->name, line->value, why);
	if (strcmp(line->section, "Pressure") == 0 || strcmp(line->section, "Limit") == 0)
		return take_setting(l->policy, line, why);
	snprintf(why, HAK_WHY_TEXT,
		 "there is no section [%s]; there are [Match], [Tunables], "
		 "[Pressure] and [Limit]",
		 line->section);
	return -EINVAL;
}

/* A line that might have been meant for [Match] counts as a line of [Match]. */
static void bad(const char *path, unsigned line, const char *section, const char *why, void *arg)
{
	struct loading *l = arg;

	if (!*section || strcmp(section, "Match") == 0)
		l->bad_match = true;
	if (l->bad_lines++ < LINES_MAX)
		add_problem(l->set, path, line, why);
}

static void free_policy(struct hak_policy *policy)
{
	if (!policy)
		return;
	for (unsigned i = 0; i < HAK_MATCHES; i++)
		free_patterns(policy->pattern[i]);
	free(policy->name);
	free(policy->path);
	free(policy);
}

static struct hak_policy *new_policy(const char *path)
{
	static const char suffix[] = ".policy";
	struct hak_policy *policy = calloc(1, sizeof(*policy));
	const char *name = strrchr(path, '/');
	size_t n;

	if (!policy)
		return NULL;
	name = name ? name + 1 : path;
	n = strlen(name);
	if (n > strlen(suffix) && strcmp(name + n - strlen(suffix), suffix) == 0)
		n -= strlen(suffix);
	policy->name = strndup(name, n);
	policy->path = strdup(path);
	if (policy->name && policy->path)
		return policy;
	free_policy(policy);
	return NULL;
}

static bool matches_by_anything(const struct hak_policy *policy)
{
	for (unsigned i = 0; i < HAK_MATCHES; i++)
		if (policy->pattern[i])
			return true;
	return false;
}

int hak_policy_add(struct hak_policy_set *set, const char *path, const char *text, size_t bytes)
{
	struct loading l = { .set = set, .policy = new_policy(path) };
	const struct hak_conf_reader reader = { see, bad, &l };
	struct hak_policy **grown;
	char why[HAK_WHY_TEXT];

	if (!l.policy)
		return -ENOMEM;
	hak_conf_parse(path, text, bytes, &reader);
	if (l.bad_lines > LINES_MAX) {
		snprintf(why, sizeof(why), "and %u more lines that are not right",
			 l.bad_lines - LINES_MAX);
		add_problem(set, path, 0, why);
	}
	if (l.bad_match || !matches_by_anything(l.policy)) {
		const char *what = "left out, since it is not clear which processes it is for";

		if (!l.bad_match)
			what = "left out: [Match] must say which processes it is for; "
			       "Command=* are all";
		add_problem(set, path, 0, what);
		free_policy(l.policy);
		return 0;
	}
	grown = realloc(set->policy, (set->n + 1) * sizeof(*grown));
	if (!grown) {
		free_policy(l.policy);
		return -ENOMEM;
	}
	set->policy = grown;
	rank(l.policy);
	l.policy->bad_lines = l.bad_lines;
	grown[set->n++] = l.policy;
	return 0;
}

void hak_policy_sort(struct hak_policy_set *set)
{
	if (set->n)
		qsort(set->policy, set->n, sizeof(*set->policy), by_precedence);
}

static int add_file(struct hak_policy_set *set, const char *path)
{
	size_t bytes;
	char *text;
	int r = hak_conf_text(path, &text, &bytes);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		add_problem(set, path, 0,
			    r == -EFBIG	   ? "it is too large"
			    : r == -EINVAL ? "it is no text file"
					   : strerror(-r));
		return 0;
	}
	r = hak_policy_add(set, path, text, bytes);
	free(text);
	return r;
}

int hak_policy_load(const char *path, struct hak_policy_set **ret)
{
	struct hak_policy_set *set = calloc(1, sizeof(*set));
	int r = set ? hak_conf_files(path, ".policy", &set->file, &set->files_n) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < set->files_n; i++)
		if (!set->file[i].masked)
			r = add_file(set, set->file[i].path);
	if (r < 0) {
		hak_policy_free(set);
		return r;
	}
	hak_policy_sort(set);
	*ret = set;
	return 0;
}

void hak_policy_free(struct hak_policy_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n; i++)
		free_policy(set->policy[i]);
	for (size_t i = 0; i < set->problems_n; i++) {
		free(set->problem[i].path);
		free(set->problem[i].why);
	}
	hak_conf_files_free(set->file, set->files_n);
	free(set->policy);
	free(set->problem);
	free(set);
}

char *hak_policy_path(void)
{
	return hak_conf_path("policy.d", "HAKMEM_POLICY_PATH");
}

/* -- matching ---------------------------------------------------------------------------------- */
static bool glob(const char *pattern, const char *text)
{
	return *text && fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

static bool match_command(const char *pattern, const char *comm)
{
	if (strlen(pattern) > COMM_LENGTH && !strpbrk(pattern, "*?["))
		return strncmp(pattern, comm, COMM_LENGTH) == 0 && strlen(comm) == COMM_LENGTH;
	return glob(pattern, comm);
}

static bool match_user(const char *pattern, const struct hak_identity *id)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", (unsigned)id->uid);
	return glob(pattern, id->user) || glob(pattern, number);
}

/*
 * Matches the group or one around it, from the root down and with a limit: a user who nests groups
 * deeply costs time, but does not escape the patterns for the outer groups.
 */
static bool match_cgroup(const char *pattern, const char *cgroup)
{
	char path[HAK_CGROUP_BYTES], *slash = path;
	bool found = *cgroup && (glob(pattern, "/") || glob(pattern, cgroup));

	snprintf(path, sizeof(path), "%s", cgroup);
	for (unsigned i = 0; !found && *slash && i < LEVELS_MAX; i++) {
		slash = strchr(slash + 1, '/');
		if (!slash)
			break;
		*slash = '\0';
		found = glob(pattern, path);
		*slash = '/';
	}
	return found;
}

/* Matches the slice or one around it: a-b.slice lies in a.slice, and all slices lie in -.slice. */
static bool match_slice(const char *pattern, const char *slice)
{
	char name[HAK_UNIT_NAME_BYTES], *dash;

	snprintf(name, sizeof(name), "%s", slice);
	while (!glob(pattern, name)) {
		dash = strrchr(name, '-');
		if (!dash || dash == name)
			return *slice && glob(pattern, "-.slice");
		snprintf(dash, sizeof(name) - (size_t)(dash - name), ".slice");
	}
	return true;
}

static bool match_one(unsigned kind, const char *pattern, const struct hak_identity *id)
{
	switch (kind) {
	case HAK_MATCH_UNIT:
		return glob(pattern, id->unit) || glob(pattern, id->user_unit);
	case HAK_MATCH_CGROUP:
		return match_cgroup(pattern, id->cgroup);
	case HAK_MATCH_EXE:
		return glob(pattern, id->exe);
	case HAK_MATCH_COMMAND:
		return match_command(pattern, id->comm);
	case HAK_MATCH_USER:
		return match_user(pattern, id);
	default:
		return match_slice(pattern, id->slice);
	}
}

bool hak_policy_matches(const struct hak_policy *policy, const struct hak_identity *id)
{
	for (unsigned kind = 0; kind < HAK_MATCHES; kind++) {
		char **p = policy->pattern[kind];

		if (!p)
			continue;
		while (*p && !match_one(kind, *p, id))
			p++;
		if (!*p)
			return false;
	}
	return true;
}

bool hak_policy_needs_user(const struct hak_policy_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->policy[i]->pattern[HAK_MATCH_USER])
			return true;
	return false;
}

static uint64_t setting_or(const struct hak_effect *effect, unsigned setting, uint64_t dflt)
{
	return effect->of[setting] ? effect->of[setting]->setting[setting] : dflt;
}

static void add_effect(const struct hak_policy *policy, struct hak_effect *effect)
{
	effect->matched++;
	if (!effect->first)
		effect->first = policy;
	for (unsigned i = 0; i < HAK_TUNABLES; i++)
		if (policy->has_tunable[i] && !effect->tunable_of[i]) {
			effect->tunable_of[i] = policy;
			effect->tunable[i] = policy->tunable[i];
		}
	for (unsigned i = 0; i < HAK_SETTINGS; i++)
		if (policy->has[i] && !effect->of[i])
			effect->of[i] = policy;
}

void hak_policy_effect(const struct hak_policy_set *set, const struct hak_identity *id,
		       struct hak_effect *ret)
{
	struct hak_effect e = { 0 };

	for (size_t i = 0; i < set->n; i++)
		if (hak_policy_matches(set->policy[i], id))
			add_effect(set->policy[i], &e);
	for (unsigned i = 0; i < HAK_SETTINGS; i++)
		e.pressure = e.pressure ||
			     (e.of[i] && strcmp(settings[i].section, "Pressure") == 0);
	e.window_us = setting_or(&e, HAK_SET_WINDOW, WINDOW_US);
	e.threshold_us = setting_or(&e, HAK_SET_THRESHOLD, THRESHOLD_US);
	if (e.of[HAK_SET_THRESHOLD] && e.of[HAK_SET_THRESHOLD]->threshold_is_percent)
		e.threshold_us = e.window_us * e.threshold_us / 1000;
	if (e.threshold_us > e.window_us)
		e.threshold_us = e.window_us;
	e.cooldown_us = setting_or(&e, HAK_SET_COOLDOWN, COOLDOWN_US);
	e.action = (unsigned)setting_or(&e, HAK_SET_ACTION, HAK_PURGE_DIRTY);
	e.cached_max = setting_or(&e, HAK_SET_CACHED_MAX, UINT64_MAX);
	e.idle_purge_us = setting_or(&e, HAK_SET_IDLE_PURGE, 0);
	*ret = e;
}

void hak_setting_format(const struct hak_policy *policy, unsigned setting, char out[HAK_VALUE_TEXT])
{
	uint64_t value = policy->setting[setting];

	if (settings[setting].how == LEVEL)
		snprintf(out, HAK_VALUE_TEXT, "%s", hak_purge_level_word((unsigned)value));
	else if (settings[setting].how == BYTES)
		hak_value_format(&bytes_spec, value, out);
	else if (setting == HAK_SET_THRESHOLD && policy->threshold_is_percent)
		snprintf(out, HAK_VALUE_TEXT, "%u.%u%%", (unsigned)(value / 10),
			 (unsigned)(value % 10));
	else
		hak_time_format(value * US, out);
}
