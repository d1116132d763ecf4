/* SPDX-License-Identifier: MIT */
/*
 * A controller that is only attached: attaches to the process of that pid as a controller that can
 * page out, prints "ready", and detaches by ending when its stdin does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/pageout.h"

int main(int argc, char **argv)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	char c;

	if (argc != 2)
		return 2;
	if (hak_segment_open((pid_t)atoi(argv[1]), HAK_SEGMENT_WRITE, &seg, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	if (hak_pageout_attach(seg) < 0 || write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
