/* SPDX-License-Identifier: MIT */
/* Replaces screen.c in a build without ncurses, and reports that. */
#include <errno.h>
#include <stdio.h>

#include "hakmemctl/top/top.h"

int top_screen_begin(char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT,
		 "this hakmemctl was built without ncurses; --once and "
		 "--count print tables");
	return -ENOSYS;
}

/* There is never a screen. */
void top_screen_end(void)
{
}

void top_screen_draw(struct top_view *view)
{
	(void)view;
}

int top_screen_key(uint64_t timeout_ns)
{
	(void)timeout_ns;
	return TOP_KEY_END;
}
