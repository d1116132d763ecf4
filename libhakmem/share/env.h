/* SPDX-License-Identifier: MIT */
/*
 * The environment variable HAKMEM: NAME=VALUE, separated by commas. An invalid entry is skipped
 * with a line on stderr.
 */
#ifndef HAK_ENV_H
#define HAK_ENV_H

/* Called at the start of the process. HAK_LOCK_TUNE held. */
void hak_env_read(void);

#endif
