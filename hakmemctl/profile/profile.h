/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl profile: what its files share. profile.c takes the command line, turns sampling on and
 * off and listens; profile_stacks.c adds samples up by stack; profile_pprof.c, profile_flame.c and
 * profile_report.c show the sums.
 *
 * A sample stands for `weight` bytes (libhakmem/heap/sample.h). Sums of weights are unbiased
 * estimates.
 * Stacks are innermost first and begin with the function that called malloc or one of its family.
 * Names and paths are those of strangers: whoever prints them escapes them.
 */
#ifndef HAK_CTL_PROFILE_H
#define HAK_CTL_PROFILE_H

#include "bpf/sampler.h"
#include "bpf/symbols.h"
#include "control/index.h"
#include "hakmemctl/ctl.h"

/* Estimates. */
struct profile_sums {
	double bytes, blocks;
};

enum profile_what { PROFILE_ALLOC, PROFILE_LIVE, PROFILE_WHATS };

struct profile_stack {
	uint64_t frame[HAK_FRAMES_MAX];
	size_t frames;
	struct profile_sums sums[PROFILE_WHATS]; /* handed out; in use at the end */
};

/* An address of a stack, and what it is called, which is found out when it is first asked for. */
struct profile_place {
	uint64_t address;
	struct hak_symbol symbol;
	char *name; /* as profile_plain_name() says; NULL: not asked for yet */
};

/* All addresses of all stacks. */
struct profile_places {
	struct profile_place *place;
	size_t n, room;
	struct hak_index index; /* by address */
	uint64_t named_ns;	/* time that names took */
	size_t unnamed;		/* addresses without function and source: it took too long */
};

/* By its number; stack 0 with weight 0: it was lost. */
struct profile_sample {
	uint32_t stack;
	uint64_t weight, bytes;
};

struct profile {
	struct ctl *ctl;
	pid_t pid;
	char comm[HAK_COMM_BYTES], library[HAK_PATH_BYTES];
	enum profile_what what; /* what is asked for */
	uint64_t rate, started_ns, ns;
	time_t began;
	struct hak_symbols *symbols;
	struct profile_stack *stack;
	size_t stacks, stacks_room, frames; /* frames: of all stacks */
	struct hak_index by_frames;	    /* of stacks */
	struct profile_places *places;
	uint64_t left_out; /* samples that went to the empty stack: too many stacks */
	struct profile_sample *sample;
	size_t samples, samples_room;
	unsigned strays; /* stacks that ended in a file we did not know */
	struct hak_profile_totals totals;
	struct profile_sums sums[PROFILE_WHATS];
	bool failed; /* out of memory: sums are not whole */
};

/* -- profile_stacks.c -------------------------------------------------------------------------- */
/* For hak_sampler_open(), with the profile. */
void profile_take(const struct hak_site_event *e, void *arg);
/* When sampling has ended: which blocks are in use, and the sums; stacks by falling sums. */
void profile_add_up(struct profile *p, const struct hak_sampler *sampler);
void profile_free(struct profile *p);
/* Of an address in a stack: its number in p->places, with symbol and name. */
size_t profile_place(const struct profile *p, uint64_t address);
/* "function", or "file+0x12", as the program has it; and escaped. */
void profile_plain_name(const struct profile *p, uint64_t address, char *out, size_t bytes);
void profile_name(const struct profile *p, uint64_t address, char *out, size_t bytes);

/* -- the ways to show it: 0 or -errno ---------------------------------------------------------- */
int profile_write_pprof(const struct profile *p, FILE *to);
int profile_write_folded(const struct profile *p, FILE *to);
int profile_write_svg(const struct profile *p, FILE *to);
struct json_object *profile_document(const struct profile *p);
void profile_report(const struct profile *p, FILE *to);

#endif
