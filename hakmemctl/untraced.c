/* SPDX-License-Identifier: MIT */
/* hakmemctl trace in a build without BPF programs: it says so. */
#include <stdio.h>

#include "hakmemctl/ctl.h"

int verb_trace(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_option(ctl, argc, argv) == -2)
		return ctl->failure;
	fprintf(stderr, "hakmemctl: it was built without BPF programs; configure says why\n");
	return CTL_UNSUPPORTED;
}
