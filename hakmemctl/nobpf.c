/* SPDX-License-Identifier: MIT */
/* Replaces trace, profile and the trace of advise in a build without BPF programs, and reports
 * that. */
#include <errno.h>
#include <stdio.h>

#include "hakmemctl/advise/advise.h"

static const char why_not[] =
	"this hakmemctl was built without BPF programs; configure prints the reason";

static int say_so(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_option(ctl, argc, argv) == -2)
		return ctl->failure;
	ctl_complain("hakmemctl: %s\n", why_not);
	return CTL_UNSUPPORTED;
}

int verb_trace(struct ctl *ctl, int argc, char **argv)
{
	return say_so(ctl, argc, argv);
}

int verb_profile(struct ctl *ctl, int argc, char **argv)
{
	return say_so(ctl, argc, argv);
}

int ctl_bpf_check(char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT, "%s", why_not);
	return -ENOSYS;
}

int advice_trace_begin(pid_t pid, struct hak_session **ret, char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT, "%s", why_not);
	return -ENOSYS;
}

/* There is never a session. */
int advice_trace_poll(struct hak_session *s, int timeout_ms)
{
	return -ENOSYS;
}

void advice_trace_end(struct hak_session *s, struct advice_figures *f)
{
}
