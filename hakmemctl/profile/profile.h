/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl profile: what its files share. profile.c has the command line, turns sampling on and
 * off, and receives the samples. stacks.c adds samples up by stack. pprof.c, flame.c and report.c
 * write the sums.
 *
 * A sample stands for `weight` bytes (libhakmem/heap/sample.h). Sums of weights are unbiased
 * estimates. Stacks have the innermost frame first and begin with the function that called malloc
 * or one of its family. The process chooses names and paths, so all code that prints them escapes
 * them.
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

/* An address in a stack, and its name, which is resolved when it is first needed. */
struct profile_place {
	uint64_t address;
	struct hak_symbol symbol;
	char *name; /* as profile_plain_name() returns it; NULL: not resolved yet */
};

/* All addresses of all stacks. */
struct profile_places {
	struct profile_place *place;
	size_t n, room;
	struct hak_index index; /* by address */
	uint64_t named_ns;	/* the time that resolving took */
	size_t unnamed; /* addresses without function and source because that took too long */
};

/* A sample by its number. Stack 0 with weight 0: the sample was lost. */
struct profile_sample {
	uint32_t stack;
	uint64_t weight, bytes;
};

struct profile {
	struct ctl *ctl;
	pid_t pid;
	char comm[HAK_COMM_BYTES], library[HAK_PATH_BYTES];
	enum profile_what what; /* what the user selected */
	uint64_t rate, started_ns, ns;
	time_t began;
	struct hak_symbols *symbols;
	struct profile_stack *stack;
	size_t stacks, stacks_room, frames; /* frames: of all stacks */
	struct hak_index by_frames;	    /* of stacks */
	struct profile_places *places;
	uint64_t left_out; /* samples of the empty stack: there were too many stacks */
	struct profile_sample *sample;
	size_t samples, samples_room;
	unsigned strays; /* stacks that ended in an unknown file */
	struct hak_profile_totals totals;
	struct profile_sums sums[PROFILE_WHATS];
	uint64_t calls; /* that allocated during the profile; 0: none, or not known */
	bool failed;	/* out of memory: the sums are incomplete */
};

/* -- stacks.c ---------------------------------------------------------------------------------- */
/* Takes a sample of hak_sampler_open(); `arg` is the profile. */
void profile_take(const struct hak_site_event *e, void *arg);
/* Called when sampling has ended. Determines the blocks in use and the sums, and sorts stacks by
 * falling sums. */
void profile_add_up(struct profile *p, const struct hak_sampler *sampler);
void profile_free(struct profile *p);
/* The number in p->places of an address in a stack, with symbol and name. */
size_t profile_place(const struct profile *p, uint64_t address);
/* "function" or "file+0x12", unescaped and escaped. */
void profile_plain_name(const struct profile *p, uint64_t address, char *out, size_t bytes);
void profile_name(const struct profile *p, uint64_t address, char *out, size_t bytes);

/* -- output: 0 or -errno ----------------------------------------------------------------------- */
int profile_write_pprof(const struct profile *p, FILE *to);
int profile_write_folded(const struct profile *p, FILE *to);
int profile_write_svg(const struct profile *p, FILE *to);
/* True, with a sentence that names the reason and what to do, if there is no sample. */
bool profile_says_why(const struct profile *p, char why[HAK_WHY_TEXT]);
struct json_object *profile_document(const struct profile *p);
void profile_report(const struct profile *p, FILE *to);

#endif
