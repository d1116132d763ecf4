/* SPDX-License-Identifier: MIT */
/* hakmemctl trace and profile in a build without BPF programs: they say so. */
#include <stdio.h>

#include "hakmemctl/ctl.h"

static int say_so(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_option(ctl, argc, argv) == -2)
		return ctl->failure;
	fprintf(stderr, "hakmemctl: it was built without BPF programs; configure says why\n");
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
