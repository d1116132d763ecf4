/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl profile: shows which code of a running process allocates memory, and which code holds
 * it. This file has the command line, and turns sampling on and off; see profile.h for the rest.
 *
 * Sampling has a deadline, so that it ends by itself if this program is killed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/emit.h"
#include "control/output.h"
#include "control/snapshot.h"
#include "control/target.h"
#include "control/tunewrite.h"
#include "hakmemctl/profile/profile.h"

#define TICK_MS	 100
#define GRACE_NS 10000000000ull /* after the profile, until sampling ends by itself */
#define APPLY_NS 2000000000ull	/* for the process to apply the tunable */
static const char tunable[] = "profile.sample_bytes";

enum shape { REPORT, PPROF, FOLDED, SVG };

struct request {
	uint64_t ns, rate;
	enum shape shape;
	const char *output;
};

static const enum ctl_format formats[] = {
	[REPORT] = CTL_FORMAT_TEXT,
	[PPROF] = CTL_FORMAT_PPROF,
	[FOLDED] = CTL_FORMAT_FOLDED,
	[SVG] = CTL_FORMAT_SVG,
};

static int parse_rate(struct ctl *ctl, uint64_t *ret)
{
	const struct hak_tunable_row *row = hak_tunable_row_find(tunable);
	struct hak_spec spec = hak_spec_of_row(row);
	char why[HAK_WHY_TEXT];

	if (hak_value_parse(&spec, ctl->argument, ret, why) < 0)
		return ctl_usage(ctl, "--rate: %s", why);
	if (*ret == 0 || hak_spec_clamp(&spec, *ret) != *ret)
		return ctl_usage(ctl, "--rate takes a size from 1 to 1T");
	return CTL_OK;
}

/* Selects the format of --output, by the options and the suffix. Returns 0 or CTL_USAGE. */
static int choose_shape(struct ctl *ctl, struct request *q)
{
	const enum ctl_format suffix = ctl_format_of(q->output);
	const bool json = ctl->json != HAK_JSON_OFF;

	if (suffix == CTL_FORMAT_NONE) {
		if (q->shape == REPORT && !json)
			q->shape = PPROF;
		return 0;
	}
	if (q->shape != REPORT && suffix != formats[q->shape])
		return ctl_contradiction(ctl, q->shape == SVG ? "--svg" : "--folded", suffix);
	if (json && suffix != CTL_FORMAT_JSON)
		return ctl_contradiction(ctl, "--json", suffix);
	if (suffix == CTL_FORMAT_JSON && !json)
		ctl->json = HAK_JSON_PRETTY;
	for (int shape = REPORT; shape <= SVG; shape++)
		if (formats[shape] == suffix)
			q->shape = (enum shape)shape;
	return 0;
}

/* Returns 0, or non-zero with the exit code in ctl->failure. */
static int parse(struct ctl *ctl, struct profile *p, struct request *q, int argc, char **argv)
{
	int option, shapes = 0;

	*q = (struct request){ .ns = 30000000000, .rate = 512 << 10 };
	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		switch (option) {
		case 's':
			if (ctl_time_above_zero(ctl, "seconds", &q->ns) != CTL_OK)
				return -1;
			break;
		case 'r':
			if (parse_rate(ctl, &q->rate) != CTL_OK)
				return -1;
			break;
		case CTL_LIVE:
		case CTL_ALLOC:
			p->what = option == CTL_LIVE ? PROFILE_LIVE : PROFILE_ALLOC;
			break;
		case 'F':
		case 'S':
			q->shape = option == 'F' ? FOLDED : SVG;
			shapes++;
			break;
		case 'O':
			q->output = ctl->argument;
			break;
		}
	}
	if (option == -2)
		return -1;
	if (shapes > 1)
		return ctl_usage(ctl, "--folded and --svg exclude each other");
	if (q->shape != REPORT && ctl->json != HAK_JSON_OFF)
		return ctl_usage(ctl, "--json goes with neither --folded nor --svg");
	if (optind + 1 != argc)
		return ctl_usage(ctl, "expects one TARGET");
	if (q->output && choose_shape(ctl, q) != 0)
		return -1;
	if (q->output && strcmp(q->output, "-") == 0)
		q->output = NULL;
	return 0;
}

/* -- sampling, on and off ---------------------------------------------------------------------- */
/* Writes or resets the admin layer. */
static int write_layer(const struct hak_segment *seg, const struct hak_change *change,
		       uint64_t *ret_generation)
{
	char why[HAK_WHY_TEXT];
	int r = hak_tune_write(seg, HAK_ORIGIN_ADMIN, change, 1, ret_generation, why);

	if (r < 0 && r != -ESRCH)
		ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid, why);
	return r;
}

/* A value with a deadline is most likely that of another profile, and both profiles would be
 * incomplete. */
static int refuse(const struct hak_segment *seg, uint64_t left_ns)
{
	char left[HAK_VALUE_TEXT];

	hak_ns_format(left_ns, left);
	ctl_complain("hakmemctl: process %d: %s is set for another %s already, perhaps by another "
		     "profile; to end that: hakmemctl reset %d %s\n",
		     (int)seg->pid, tunable, left, (int)seg->pid, tunable);
	return -EBUSY;
}

static int sampling_on(const struct hak_segment *seg, const struct request *q,
		       struct hak_change *ret_before, struct hak_change *ret_on)
{
	int index = hak_segment_tunable(seg, tunable);
	uint64_t generation, now = hak_segment_now_ns(seg);
	const struct hak_tune_slot *admin;
	struct hak_tune tune;
	int r;

	if (index < 0) {
		ctl_complain("hakmemctl: process %d runs a libhakmem that has no %s\n",
			     (int)seg->pid, tunable);
		return -EPROTONOSUPPORT;
	}
	r = hak_segment_read_tune(seg, &tune);
	if (r < 0)
		return r;
	admin = &tune.slot[index].admin;
	if (admin->set && admin->deadline_ns > now)
		return refuse(seg, admin->deadline_ns - now);
	/* A value whose deadline has passed is not set. */
	*ret_before = (struct hak_change){ .index = (uint32_t)index,
					   .set = admin->set && !admin->deadline_ns,
					   .value = admin->value };
	*ret_on = (struct hak_change){ .index = (uint32_t)index,
				       .set = true,
				       .value = q->rate,
				       .deadline_ns = now + q->ns + GRACE_NS };
	r = write_layer(seg, ret_on, &generation);
	if (r == 0 && hak_tune_wait(seg, generation, APPLY_NS) == -ETIMEDOUT)
		ctl_complain("hakmemctl: process %d sleeps; sampling begins when it allocates\n",
			     (int)seg->pid);
	return r;
}

/* Restores the previous value, unless another controller has changed it meanwhile. */
static void sampling_off(const struct hak_segment *seg, const struct hak_change *before,
			 const struct hak_change *on)
{
	const struct hak_tune_slot *now;
	struct hak_tune tune;
	uint64_t generation;

	if (hak_segment_read_tune(seg, &tune) < 0)
		return;
	now = &tune.slot[on->index].admin;
	if (!now->set || now->value != on->value || now->deadline_ns != on->deadline_ns)
		ctl_complain(
			"hakmemctl: process %d: another controller has changed %s, which is left "
			"as it is; the profile may be incomplete\n",
			(int)seg->pid, tunable);
	else if (write_layer(seg, before, &generation) == 0)
		hak_tune_wait(seg, generation, APPLY_NS);
}

/* -- the run ----------------------------------------------------------------------------------- */
static bool ended(const struct hak_segment *seg)
{
	struct pollfd fd = { .fd = seg->pidfd, .events = POLLIN };

	return seg->pidfd < 0 ? hak_segment_alive(seg) < 0 : poll(&fd, 1, 0) > 0;
}

/* The calls that allocated so far; 0 if they cannot be read. */
static uint64_t count_calls(const struct hak_segment *seg)
{
	struct hak_snapshot snap;
	uint64_t n;

	if (hak_snapshot_take(seg, &snap) < 0)
		return 0;
	n = hak_total(seg, &snap, HAK_ID_ALLOCS) + hak_total(seg, &snap, HAK_ID_WHALE_ALLOCS);
	hak_snapshot_free(&snap);
	return n;
}

static int listen_to(struct profile *p, const struct hak_segment *seg, const struct request *q)
{
	struct hak_sampler *sampler;
	struct hak_change before, on;
	char why[HAK_WHY_TEXT];
	uint64_t deadline;
	int r = hak_symbols_open(p->pid, &p->symbols);

	if (r < 0) {
		ctl_complain("hakmemctl: process %d: its files cannot be read: %s\n", (int)p->pid,
			     strerror(-r));
		return ctl_exit_code(r);
	}
	r = hak_sampler_open(p->pid, p->library, profile_take, p, &sampler, why);
	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return ctl_exit_code(r);
	}
	r = sampling_on(seg, q, &before, &on);
	p->calls = count_calls(seg);
	p->began = time(NULL);
	p->started_ns = hak_monotonic_ns();
	deadline = p->started_ns + q->ns;
	if (r == 0)
		ctl_say_wait("sampling", q->ns);
	while (r == 0 && !ctl_interrupted() && hak_monotonic_ns() < deadline && !ended(seg)) {
		hak_sampler_poll(sampler, TICK_MS);
		ctl_progress("sampling", hak_monotonic_ns() - p->started_ns, q->ns);
	}
	ctl_progress_end();
	if (r == 0) {
		p->ns = hak_monotonic_ns() - p->started_ns;
		sampling_off(seg, &before, &on);
		/* A process that does not apply the change must not keep this program for ever. */
		deadline = hak_monotonic_ns() + GRACE_NS;
		while (hak_sampler_poll(sampler, 0) > 0)
			if (hak_monotonic_ns() >= deadline) {
				ctl_complain("hakmemctl: process %d does not end sampling: its "
					     "last samples are left out\n",
					     (int)p->pid);
				break;
			}
		profile_add_up(p, sampler);
		p->calls = count_calls(seg) - p->calls;
	}
	hak_sampler_close(sampler);
	if (r == 0 && p->failed)
		ctl_complain("hakmemctl: out of memory: the profile is incomplete\n");
	return r < 0 ? ctl_exit_code(r) : p->failed ? CTL_FAILED : CTL_OK;
}

static int show(const struct profile *p, const struct request *q, FILE *to)
{
	struct json_object *document;
	int r;

	switch (q->shape) {
	case PPROF:
		return profile_write_pprof(p, to);
	case FOLDED:
		return profile_write_folded(p, to);
	case SVG:
		return profile_write_svg(p, to);
	case REPORT:
		break;
	}
	if (p->ctl->json == HAK_JSON_OFF) {
		profile_report(p, to);
		return ferror(to) ? -EIO : 0;
	}
	document = profile_document(p);
	r = hak_emit_json(to, document, p->ctl->json);
	json_object_put(document);
	return r;
}

/* The output is completed before any of it is written, so that a lack of space leaves no part of it
 * behind. */
static int answer(const struct profile *p, const struct request *q)
{
	char *text = NULL, why[HAK_WHY_TEXT] = "";
	size_t bytes;
	FILE *made = open_memstream(&text, &bytes);
	int r = made ? show(p, q, made) : -ENOMEM;

	if (made && fclose(made) != 0 && r == 0)
		r = -ENOMEM;
	errno = EIO;
	if (r == 0 && q->output)
		r = hak_output(q->output, text, bytes, why);
	else if (r == 0 && (fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout) != 0))
		r = -errno;
	free(text);
	if (r < 0)
		ctl_complain("hakmemctl: %s: %s\n", q->output ? q->output : "the profile",
			     why[0] ? why : strerror(-r));
	else if (q->output)
		ctl_say_written("the profile",
				q->shape == REPORT && p->ctl->json != HAK_JSON_OFF
					? CTL_FORMAT_JSON
					: formats[q->shape],
				bytes, q->output);
	return r < 0 ? CTL_FAILED : CTL_OK;
}

/* A profile without samples looks like that of a program without memory. */
static void tell_no_sample(const struct profile *p)
{
	char why[HAK_WHY_TEXT];

	if (profile_says_why(p, why))
		ctl_complain("hakmemctl: process %d: %s\n", (int)p->pid, why);
}

/* Reports what was left out because the process had more of it than the limits allow. */
static void tell_left_out(const struct profile *p, const struct request *q)
{
	unsigned files = hak_symbols_left_out(p->symbols);
	char why[HAK_WHY_TEXT];

	if (p->left_out)
		ctl_complain("hakmemctl: process %d has too many stacks: %" PRIu64
			     " samples have none\n",
			     (int)p->pid, p->left_out);
	if (p->places && p->places->unnamed)
		ctl_complain("hakmemctl: process %d: resolving names took too long: %zu addresses "
			     "have none\n",
			     (int)p->pid, p->places->unnamed);
	if (files)
		ctl_complain("hakmemctl: process %d maps too many removed files: %u were not "
			     "read\n",
			     (int)p->pid, files);
	/* The report and its JSON contain this. */
	if (q->shape != REPORT && hak_symbols_missing(p->symbols, why))
		ctl_complain("hakmemctl: process %d: missing: " HAK_SYMBOLS_MISSING ": %s\n",
			     (int)p->pid, why);
}

int verb_profile(struct ctl *ctl, int argc, char **argv)
{
	struct profile p = { .ctl = ctl, .what = PROFILE_LIVE };
	struct hak_segment *seg;
	char why[HAK_WHY_TEXT];
	struct request q;
	int r;

	if (parse(ctl, &p, &q, argc, argv) != 0)
		return ctl->failure;
	/* Checked before half a minute of work, not after it. */
	if (q.output && hak_output_check(q.output, why) < 0) {
		ctl_complain("hakmemctl: %s: %s\n", q.output, why);
		return CTL_FAILED;
	}
	r = ctl_open_one(ctl, argv[optind], HAK_SEGMENT_WRITE, &seg);
	if (r != CTL_OK)
		return r;
	ctl_catch_interrupts();
	p.pid = seg->pid;
	p.rate = q.rate;
	snprintf(p.comm, sizeof(p.comm), "%s", seg->comm);
	snprintf(p.library, sizeof(p.library), "%s", seg->library);
	r = listen_to(&p, seg, &q);
	if (r == CTL_OK)
		r = answer(&p, &q);
	if (r == CTL_OK) {
		tell_no_sample(&p);
		tell_left_out(&p, &q);
	}
	profile_free(&p);
	hak_segment_close(seg);
	return r;
}
