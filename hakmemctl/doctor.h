/* SPDX-License-Identifier: MIT */
/*
 * What the checks of hakmemctl doctor share. doctor.c has the table of checks, and those of the
 * kernel and of the library. services.c has those of the services that hakmem uses where they run.
 * A check is an attempt, or a read of the file that has the answer.
 */
#ifndef HAK_DOCTOR_H
#define HAK_DOCTOR_H

#include "hakmemctl/ctl.h"

extern const char doctor_ok[], doctor_limited[], doctor_missing[], doctor_unknown[];

/* The result of one check. */
struct finding {
	const char *result; /* one of the four words */
	const char *remedy; /* what to do, or the next command to type; NULL: nothing */
	char found[HAK_WHY_TEXT];
};

/* -- services.c: none of these is required ----------------------------------------------------- */
void doctor_bpf(struct finding *f);
void doctor_systemd(struct finding *f);
void doctor_journal(struct finding *f);
void doctor_bus(struct finding *f);
void doctor_polkit(struct finding *f);
void doctor_daemon(struct finding *f);

#endif
