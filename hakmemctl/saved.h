/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of processes in files: what `hakmemctl stats --json` printed earlier. The file can have
 * any content, so it is read up to a limit, made printable and checked key by key
 * (control/documents.h) before other code uses it.
 *
 * For the verbs of hakmemctl and tests. No state.
 */
#ifndef HAK_CTL_SAVED_H
#define HAK_CTL_SAVED_H

#include "control/json.h"
#include "control/value.h"

/*
 * Reads a file into a document with the array `processes`, which is not empty. Returns 0; the error
 * of a call; or -EBADMSG if the content is not such a document. `why` is then a sentence that does
 * not repeat the path, and names the key at fault.
 */
int ctl_saved_read(const char *path, struct json_object **ret, char why[HAK_WHY_TEXT]);

#endif
