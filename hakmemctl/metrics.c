/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl metrics: prints the counters of processes for Prometheus, summed by unit and command,
 * to standard output or to a file that the textfile collector of node_exporter reads.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/metrics.h"
#include "control/output.h"
#include "control/policy.h"
#include "control/scrape.h"
#include "hakmemctl/ctl.h"

struct request {
	enum hak_metrics_format format;
	const char *output; /* NULL: standard output */
	const char *daemon; /* its socket; NULL: read the processes */
};

/* The sums, and the policies that name their series as hakmemd names them. */
struct sums {
	struct hak_metrics *metrics;
	struct hak_policy_set *policies; /* NULL: they cannot be read */
};

/* Labels that point into *id and into the policies. */
static void label(const struct sums *sums, const struct hak_segment *seg, struct hak_identity *id,
		  struct hak_labels *ret)
{
	struct hak_effect effect = { 0 };

	*ret = (struct hak_labels){ .command = seg->comm };
	if (hak_identity_read(seg->procfd, seg->pid, id) < 0)
		return;
	ret->unit = id->unit;
	if (!sums->policies)
		return;
	if (hak_policy_needs_user(sums->policies))
		hak_identity_name_user(id);
	hak_policy_effect(sums->policies, id, &effect);
	ret->policy = effect.first ? effect.first->name : NULL;
}

static int add_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	const struct sums *sums = arg;
	struct hak_identity id;
	struct hak_labels labels;
	struct hak_resident resident;
	struct hak_figures figures;
	struct hak_snapshot snap;
	struct hak_series *series;
	int r = hak_snapshot_take(seg, &snap);

	if (r < 0) {
		ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid, strerror(-r));
		return ctl_exit_code(r);
	}
	hak_resident_read(seg, HAK_RESIDENT_SUMMED, &resident);
	hak_figures_take(seg, &snap, &resident, &figures);
	hak_snapshot_free(&snap);
	label(sums, seg, &id, &labels);
	r = hak_segment_alive(seg);
	if (r < 0)
		return ctl_exit_code(r);
	series = hak_metrics_series(sums->metrics, &labels);
	if (!series)
		return CTL_FAILED;
	hak_series_move(series, NULL, &figures);
	return CTL_OK;
}

/* The figures are right without the policies, and only a label is missing. */
static struct hak_policy_set *load_policies(void)
{
	char *path = hak_policy_path();
	struct hak_policy_set *set = NULL;
	int r = path ? hak_policy_load(path, &set) : -ENOMEM;

	free(path);
	if (r == 0)
		return set;
	ctl_complain("hakmemctl: cannot read the policies, whose label stays empty: %s\n",
		     strerror(-r));
	return NULL;
}

static int of_processes(struct ctl *ctl, const char *target, const struct request *request,
			FILE *to)
{
	struct sums sums;
	int r;

	if (hak_metrics_new(HAK_METRICS_CTL, &sums.metrics) < 0)
		return CTL_FAILED;
	sums.policies = load_policies();
	r = ctl_each(ctl, target, 0, add_process, &sums);
	/* A collector also needs the answer that there is nothing to count. */
	if ((r == CTL_OK || r == CTL_NOTHING) &&
	    hak_metrics_write(sums.metrics, request->format, NULL, to) < 0)
		r = CTL_FAILED;
	hak_policy_free(sums.policies);
	hak_metrics_free(sums.metrics);
	return r;
}

static int of_daemon(const struct request *request, FILE *to)
{
	char why[HAK_WHY_TEXT], *text;
	size_t bytes;
	int r = hak_metrics_ask(request->daemon, request->format, 10000000000, &text, &bytes, why);

	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return r == -EACCES ? CTL_DENIED : CTL_FAILED;
	}
	hak_put_lines(to, text, bytes);
	r = ferror(to) ? CTL_FAILED : CTL_OK;
	free(text);
	return r;
}

static int print(struct ctl *ctl, const char *target, const struct request *request, FILE *to)
{
	return request->daemon ? of_daemon(request, to) : of_processes(ctl, target, request, to);
}

static int replace(struct ctl *ctl, const char *target, const struct request *request)
{
	char *text = NULL, why[HAK_WHY_TEXT] = "";
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	int r = to ? print(ctl, target, request, to) : CTL_FAILED;

	if (!to || fclose(to) != 0)
		snprintf(why, sizeof(why), "%s", strerror(ENOMEM));
	else if (r == CTL_OK || r == CTL_NOTHING)
		hak_output(request->output, text, bytes, why);
	free(text);
	if (why[0]) {
		ctl_complain("hakmemctl: cannot write %s: %s\n", request->output, why);
		r = CTL_FAILED;
	}
	return r;
}

int verb_metrics(struct ctl *ctl, int argc, char **argv)
{
	struct request request = { .format = HAK_METRICS_OPENMETRICS };
	const char *target = "all";
	int option, r;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == 'd')
			request.daemon = ctl->argument ? ctl->argument : HAK_METRICS_SOCKET;
		else if (option == CTL_WRITE)
			request.output = ctl->argument;
		else if (hak_metrics_format_of(ctl->argument, &request.format) < 0)
			return ctl_usage(ctl, "--format takes openmetrics or prometheus");
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind > 1)
		return ctl_usage(ctl, "expects one TARGET at most");
	if (optind < argc)
		target = argv[optind];
	if (request.daemon && optind < argc)
		return ctl_usage(ctl, "--daemon covers all processes and takes no TARGET");
	if (ctl->json != HAK_JSON_OFF)
		return ctl_usage(ctl, "there are no metrics in JSON; see hakmemctl stats --json");
	if (request.output)
		r = replace(ctl, target, &request);
	else
		r = print(ctl, target, &request, stdout);
	return r;
}
