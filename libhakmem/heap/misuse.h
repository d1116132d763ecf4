/* SPDX-License-Identifier: MIT */
/*
 * What happens on a wrong free (check.free): abort with one line that names the pointer, report and
 * go on, or go on. The function returns only in the latter two cases; the pointer is then left
 * alone.
 */
#ifndef HAK_MISUSE_H
#define HAK_MISUSE_H

void hak_misuse(const char *what, const void *p);

#endif
