/* SPDX-License-Identifier: MIT */
/*
 * The start and the end of the manager, and the files that configure it. See manager.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/escape.h"
#include "hakmemd/apply.h"
#include "hakmemd/journal.h"
#include "hakmemd/look.h"
#include "hakmemd/manager.h"
#include "hakmemd/pressure.h"
#include "hakmemd/state.h"

/* The processor time of one slice of a look: for all processes, for those of one user, for one
 * process. */
#define SLICE_NS   10000000
#define USER_NS	   5000000
#define PROCESS_NS 5000000

/* -- life -------------------------------------------------------------------------------------- */
int hak_manager_new(sd_event *event, struct hak_manager **ret)
{
	struct hak_manager *m = calloc(1, sizeof(*m));

	if (!m)
		return hak_log_error(-ENOMEM, "cannot start");
	m->event = sd_event_ref(event);
	m->shares = (struct hak_shares){ .pass_ns = SLICE_NS,
					 .user_ns = USER_NS,
					 .piece_ns = PROCESS_NS };
	if (getrandom(&m->shares.secret, sizeof(m->shares.secret), GRND_NONBLOCK) < 0)
		m->shares.secret = (uint32_t)hak_monotonic_ns();
	m->can_page_out = true; /* until the first look */
	*ret = m;
	return 0;
}

void hak_manager_free(struct hak_manager *m)
{
	if (!m)
		return;
	hak_look_stop(m);
	hak_pressure_stop(m);
	hak_state_stop(m);
	hak_processes_free(m);
	hak_policy_free(m->policies);
	sd_event_unref(m->event);
	free(m);
}

/* -- reload ------------------------------------------------------------------------------------ */
static void tell_problems(const struct hak_policy_set *set)
{
	for (size_t i = 0; i < set->problems_n; i++) {
		const struct hak_policy_problem *problem = &set->problem[i];
		char why[4 * HAK_WHY_TEXT], path[4 * HAK_PATH_BYTES], line[16];
		const struct hak_field fields[] = {
			{ "HAKMEM_RULE_FILE", problem->path },
			{ "HAKMEM_RULE_LINE", problem->line ? line : NULL },
			{ "HAKMEM_WHY", problem->why },
		};

		snprintf(line, sizeof(line), "%u", problem->line);
		hak_escape(problem->why, why, sizeof(why));
		hak_escape(problem->path, path, sizeof(path));
		hak_event(LOG_WARNING, HAK_MESSAGE_BAD_POLICY, fields, 3, "%s%s%s: %s", path,
			  problem->line ? ":" : "", problem->line ? line : "", why);
	}
}

int hak_manager_check(void)
{
	struct hak_policy_set *policies;
	struct hak_conf conf;
	char *path = hak_policy_path();
	int r = path ? hak_policy_load(path, &policies) : -ENOMEM;
	size_t n;

	free(path);
	if (r < 0)
		return hak_log_error(r, "cannot read the policies");
	tell_problems(policies);
	n = policies->problems_n;
	hak_policy_free(policies);
	r = hak_conf_load(&conf);
	if (r < 0)
		return hak_log_error(r, "cannot read hakmemd.conf");
	n += conf.bad_lines;
	if (n == 0)
		return 0;
	hak_log(LOG_ERR, "%zu problem%s in the files of hakmemd; the rest of the files is in force",
		n, n == 1 ? "" : "s");
	return -EINVAL;
}

int hak_manager_reload(struct hak_manager *m)
{
	struct hak_policy_set *policies, *old = m->policies;
	struct hak_conf conf;
	char *path = hak_policy_path();
	int r = path ? hak_policy_load(path, &policies) : -ENOMEM;
	size_t problems;

	free(path);
	if (r < 0)
		return hak_log_error(r, "cannot read the policies; those in force stay");
	tell_problems(policies);
	r = hak_conf_load(&conf);
	if (r < 0)
		hak_log_error(r, "cannot read hakmemd.conf");
	m->conf = conf;
	m->policies = policies;
	m->state_stale = true;
	hak_identity_forget_users();
	/* Most values are written before the reload is reported as done, the rest in the next
	 * slices. */
	hak_shares_begin(&m->shares);
	for (struct hak_process *p = m->processes; p; p = p->next) {
		if (hak_share_enter(&m->shares, p->id.account, NULL)) {
			hak_apply(p);
			hak_tell_changed(p);
			hak_share_leave(&m->shares, NULL);
		} else {
			/* The policies that the old effect points into are freed. The next look
			 * determines the new effect. */
			p->effect = (struct hak_effect){ .cached_max = UINT64_MAX };
			p->reloaded = true;
		}
	}
	hak_policy_free(old);
	hak_look_hurry(m);
	hak_pressure_update(m);
	hak_tell_reloaded(m);
	problems = hak_manager_problems(m);
	hak_log(LOG_INFO, "%zu polic%s in force, %zu problem%s", policies->n,
		policies->n == 1 ? "y" : "ies", problems, problems == 1 ? "" : "s");
	return 0;
}
