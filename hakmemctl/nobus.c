/* SPDX-License-Identifier: MIT */
/*
 * Replaces bus.c in a build without libsystemd, which cannot use hakmemd.
 */
#include <errno.h>
#include <stdio.h>

#include "hakmemctl/ctl.h"

static int not_built(char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT,
		 "this hakmemctl was built without libsystemd and cannot use a bus");
	return -ENOSYS;
}

int ctl_bus_find(struct ctl *ctl, const char *target, bool start_it, struct ctl_process **ret,
		 size_t *ret_n, char why[HAK_WHY_TEXT])
{
	(void)ctl, (void)target, (void)start_it, (void)ret, (void)ret_n;
	return not_built(why);
}

void ctl_bus_found_free(struct ctl_process *found, size_t n)
{
	(void)found, (void)n;
}

int ctl_bus_report(struct ctl *ctl, const struct ctl_process *p, enum hak_report what,
		   bool ask_user, struct json_object **ret, char why[HAK_WHY_TEXT])
{
	(void)ctl, (void)p, (void)what, (void)ask_user, (void)ret;
	return not_built(why);
}

int ctl_bus_ask(struct ctl *ctl, const struct ctl_process *p, const struct ctl_ask *ask,
		struct ctl_call **ret, char why[HAK_WHY_TEXT])
{
	(void)ctl, (void)p, (void)ask, (void)ret;
	return not_built(why);
}

int ctl_bus_answer(struct ctl *ctl, struct ctl_call *call, struct json_object **ret,
		   char why[HAK_WHY_TEXT])
{
	(void)ctl, (void)call, (void)ret;
	return not_built(why);
}

int ctl_bus_look(struct ctl_bus_look *ret, char why[HAK_WHY_TEXT])
{
	(void)ret;
	return not_built(why);
}

void ctl_bus_close(struct ctl *ctl)
{
	(void)ctl;
}
