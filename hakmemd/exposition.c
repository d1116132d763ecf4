/* SPDX-License-Identifier: MIT */
/*
 * The metrics of the daemon, see exposition.h. The figures of a process are read when a client
 * asks, and a last time when the process ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "hakmemd/exposition.h"
#include "hakmemd/journal.h"
#include "hakmemd/look.h"
#include "hakmemd/scrapes.h"
#include "hakmemd/store.h"

#define STORE_NAME "hakmem-metrics"
#define FRESH_NS   500000000u /* however many clients ask, processes are read this often */
/* The processor time for one text: for all processes, for those of one user, for one process. */
#define READ_NS	     50000000
#define READ_USER_NS 10000000
#define READ_ONE_NS  5000000
/* A walk over the page tables of a process, which cannot be stopped, at this distance in time. */
#define SAMPLE_NS	60000000000u
#define SAMPLES_NS	20000000 /* processor time for one text */
#define SAMPLES_USER_NS 5000000
#define CLAIM_TICKS	60 /* after these, processes that only a former run knew have ended */
#define SAVE_NS		10000000000u /* between two saves */
/* The number of processes whose figures are saved, in some 5 KB each. Of the others, only the fact
 * that they were known is saved. */
#define SAVED_MAX	 2048u
#define SAVED_OF_ACCOUNT 512u
#define PLACES		 1024u /* for accounts; a power of two */
#define UNCLAIMED_PLACES 4096u /* a power of two */

/* What one process adds to one series: its counts beyond `base`. */
struct hak_part {
	struct hak_part *next, **at; /* in a list of the exposition; the pointer to this part */
	const struct hak_process *process; /* NULL: unclaimed */
	uint64_t ino, created_ns;	   /* identify the segment; an exec creates another one */
	struct hak_series *series;	   /* NULL until the first reading */
	struct hak_figures base;	   /* counters only */
	struct hak_figures last;	   /* the figures that are in the series */
	uint64_t purges, returned_bytes;   /* as the manager reported them */
	struct hak_turn turn;		   /* in exposition->shares */
	struct hak_resident sample;	   /* of resident memory */
	uint64_t sampled_ns;		   /* 0: never */
	bool rebase; /* the counts until the next reading are in the sums already */
};

struct hak_exposition {
	struct hak_manager *manager;
	struct hak_metrics *metrics;
	struct hak_part *parts; /* of processes */
	/* The parts of a former run whose processes were not seen yet in this run, by inode. */
	struct hak_part *unclaimed[UNCLAIMED_PLACES];
	struct hak_scrapes *scrapes;
	uint64_t read_ns, saved_ns;
	struct hak_shares shares;
	struct hak_shares ends; /* for the last readings, between two ticks */
	struct hak_shares samples;
	unsigned ticks;
	bool unsaved;
	struct hak_store *store;
};

/* -- what processes add ------------------------------------------------------------------------ */
static void link_part(struct hak_part **list, struct hak_part *part)
{
	part->at = list;
	part->next = *list;
	if (part->next)
		part->next->at = &part->next;
	*list = part;
}

static void unlink_part(struct hak_part *part)
{
	*part->at = part->next;
	if (part->next)
		part->next->at = part->at;
}

static struct hak_series *series_of(struct hak_exposition *e, const struct hak_process *p)
{
	const struct hak_labels labels = {
		.unit = p->id.unit,
		.command = p->id.comm,
		.policy = p->effect.first ? p->effect.first->name : NULL,
	};

	return hak_metrics_series(e->metrics, &labels);
}

/* Ends this part. Later counts belong to another part. */
static void part_cut(struct hak_part *part)
{
	if (part->series)
		hak_series_retire(part->series, &part->last);
	hak_figures_fold(&part->base, &part->last);
	part->last = (struct hak_figures){ 0 };
	part->series = NULL;
}

static bool drifted(const struct hak_process *p)
{
	return p->dirty_policy || p->trouble[0];
}

/* Counts from `now` on. The figures that the manager reports began with this run. */
static void rebase(struct hak_part *part, const struct hak_figures *now)
{
	part->base = (struct hak_figures){ 0 };
	hak_figures_fold(&part->base, now);
	part->base.value[HAK_FIGURE_ASKED] = part->base.value[HAK_FIGURE_RETURNED] = 0;
	part->rebase = false;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The kernel's counts of now, and from the last sample what they do not contain: no more of it than
 * is resident now. */
static struct hak_resident resident_of(const struct hak_part *part)
{
	const struct hak_resident *sample = &part->sample;
	struct hak_resident r;

	hak_resident_read(part->process->seg, HAK_RESIDENT_COUNTED, &r);
	if (r.source == HAK_RESIDENT_UNKNOWN || sample->source < HAK_RESIDENT_SUMMED)
		return r;
	r.source = HAK_RESIDENT_SUMMED;
	r.lazy_free = least(sample->lazy_free, r.anonymous);
	r.huge = least(sample->huge, r.anonymous);
	r.pss = least(sample->pss, r.rss);
	r.private = least(sample->private, r.rss);
	r.swap = sample->swap;
	return r;
}

static void part_read(struct hak_exposition *e, struct hak_part *part)
{
	const struct hak_process *p = part->process;
	struct hak_series *series = series_of(e, p);
	struct hak_resident resident;
	struct hak_figures now;
	struct hak_snapshot snap;

	if (!series || hak_snapshot_take(p->seg, &snap) < 0)
		return;
	resident = resident_of(part);
	hak_figures_take(p->seg, &snap, &resident, &now);
	hak_snapshot_free(&snap);
	now.value[HAK_FIGURE_DRIFTED] = drifted(p);
	now.value[HAK_FIGURE_UNMET] = p->unmet.limit;
	now.value[HAK_FIGURE_UNANSWERED] = p->unmet.answer;
	now.value[HAK_FIGURE_ASKED] = part->purges;
	now.value[HAK_FIGURE_RETURNED] = part->returned_bytes;
	if (part->ino != p->seg->stats_ino || part->created_ns != p->seg->header.created_ns) {
		part_cut(part);
		part->base = (struct hak_figures){ 0 };
		part->rebase = false;
		hak_figures_fold(&part->base, &(struct hak_figures){
						      .value = { [HAK_FIGURE_ASKED] = part->purges,
								 [HAK_FIGURE_RETURNED] =
									 part->returned_bytes } });
		part->ino = p->seg->stats_ino;
		part->created_ns = p->seg->header.created_ns;
		part->sampled_ns = 0;
	}
	if (part->series && part->series != series)
		part_cut(part);
	if (part->rebase)
		rebase(part, &now);
	hak_figures_since(&now, &part->base);
	hak_series_move(series, part->series ? &part->last : NULL, &now);
	part->series = series;
	part->last = now;
}

static struct hak_part **unclaimed_of(struct hak_exposition *e, uint64_t ino)
{
	uint32_t hash = (uint32_t)(ino ^ ino >> 32);

	return &e->unclaimed[hak_account_place(hash, e->shares.secret, UNCLAIMED_PLACES)];
}

/* Returns the part that a former run left for this process. */
static struct hak_part *claim(struct hak_exposition *e, const struct hak_process *p)
{
	for (struct hak_part *part = *unclaimed_of(e, p->seg->stats_ino); part; part = part->next)
		if (part->ino == p->seg->stats_ino && part->created_ns == p->seg->header.created_ns)
			return part;
	return NULL;
}

static void on_added(struct hak_process *p, void *arg)
{
	struct hak_exposition *e = arg;
	struct hak_part *part = claim(e, p);

	if (part) {
		unlink_part(part);
	} else {
		part = calloc(1, sizeof(*part));
		if (!part)
			return;
		part->ino = p->seg->stats_ino;
		part->created_ns = p->seg->header.created_ns;
	}
	link_part(&e->parts, part);
	part->process = p;
	p->part = part;
}

static void on_removed(struct hak_process *p, void *arg)
{
	struct hak_exposition *e = arg;
	struct hak_part *part = p->part;

	if (!part)
		return;
	/*
	 * The last reading. The counts since the previous reading are lost if this reading takes
	 * too long, or if all processes that a user ends in a second take too long together.
	 */
	if (hak_share_enter(&e->ends, p->id.account, NULL)) {
		part_read(e, part);
		e->manager->reads_put_off += hak_share_leave(&e->ends, NULL);
	} else {
		e->manager->reads_put_off++;
	}
	part_cut(part);
	unlink_part(part);
	free(part);
	p->part = NULL;
	e->unsaved = true;
}

static void on_purged(struct hak_process *p, uint64_t bytes, const char *why, void *arg)
{
	struct hak_part *part = p->part;

	if (!part)
		return;
	part->purges++;
	part->returned_bytes += bytes;
}

/* -- over a restart ---------------------------------------------------------------------------- */
/* The number of processes whose figures a text contains. */
struct saved {
	FILE *to;
	unsigned n, of_account[PLACES];
};

/*
 * The counts of a process, which are in the sums already, as a record "process" with its figures.
 * If there are too many processes, only a record "known" is written: the counts until the next run
 * reads the process are then lost, but nothing is counted twice.
 */
static void write_part(const struct hak_part *part, struct saved *saved, unsigned *of_account)
{
	static const struct hak_figures none;
	struct hak_figures seen = part->base;
	bool whole = !part->rebase && saved->n < SAVED_MAX &&
		     (!of_account || *of_account < SAVED_OF_ACCOUNT);

	hak_figures_fold(&seen, &part->last);
	if (!part->rebase && memcmp(&seen, &none, sizeof(seen)) == 0)
		return;
	fprintf(saved->to, "%s\t%" PRIu64 "\t%" PRIu64 "\n", whole ? "process" : "known", part->ino,
		part->created_ns);
	if (!whole)
		return;
	hak_figures_save(&seen, saved->to);
	saved->n++;
	if (of_account)
		++*of_account;
}

static void write_sums(FILE *to, void *arg)
{
	const struct hak_exposition *e = arg;
	struct saved saved = { .to = to };

	hak_metrics_save(e->metrics, to);
	for (const struct hak_part *part = e->parts; part; part = part->next) {
		uid_t account = part->process->id.account;

		write_part(part, &saved,
			   &saved.of_account[hak_account_place(account, e->shares.secret, PLACES)]);
	}
	/* These parts were within the limits of the run that left them. */
	for (unsigned i = 0; i < UNCLAIMED_PLACES; i++)
		for (const struct hak_part *part = e->unclaimed[i]; part; part = part->next)
			write_part(part, &saved, NULL);
}

static void save(struct hak_exposition *e)
{
	if (e->store && hak_store_save(e->store, write_sums, e) == 0)
		e->unsaved = false;
	e->saved_ns = hak_monotonic_ns();
}

static void free_parts(struct hak_part **list)
{
	while (*list) {
		struct hak_part *part = *list;

		unlink_part(part);
		free(part);
	}
}

static void free_unclaimed(struct hak_exposition *e)
{
	for (unsigned i = 0; i < UNCLAIMED_PLACES; i++)
		free_parts(&e->unclaimed[i]);
}

static void on_tick(struct hak_manager *m, void *arg)
{
	struct hak_exposition *e = arg;

	hak_shares_begin(&e->ends);
	/* The processes of these parts ended while no daemon ran. Their counts up to the end of the
	 * former run are in the sums. */
	if (++e->ticks == CLAIM_TICKS)
		free_unclaimed(e);
	if (e->unsaved && hak_monotonic_ns() - e->saved_ns >= SAVE_NS)
		save(e);
}

static struct hak_part *load_part(struct hak_exposition *e, const char *line)
{
	uint64_t ino, created_ns;
	struct hak_part *part;
	char kind[8];

	if (sscanf(line, "%7s\t%" SCNu64 "\t%" SCNu64, kind, &ino, &created_ns) != 3)
		return NULL;
	part = calloc(1, sizeof(*part));
	if (!part)
		return NULL;
	part->ino = ino;
	part->created_ns = created_ns;
	part->rebase = strcmp(kind, "known") == 0;
	link_part(unclaimed_of(e, ino), part);
	return part;
}

static void load(struct hak_exposition *e, char *text)
{
	struct hak_figures *sum = NULL;
	struct hak_part *part = NULL;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		if (hak_series_load(e->metrics, line, &sum))
			continue;
		if (strncmp(line, "process\t", 8) == 0 || strncmp(line, "known\t", 6) == 0) {
			part = load_part(e, line);
			sum = part ? &part->base : NULL;
		} else if (sum) {
			hak_figures_load(sum, line);
			/* The figures that the manager reports begin at 0 again. */
			if (part && sum == &part->base)
				sum->value[HAK_FIGURE_ASKED] = sum->value[HAK_FIGURE_RETURNED] = 0;
		}
	}
}

/* -- the text ---------------------------------------------------------------------------------- */
/* A process without a share keeps its previous sample. A share that a walk exceeds is owed. */
static void sample_parts(struct hak_exposition *e)
{
	uint64_t now = hak_monotonic_ns();

	hak_shares_begin(&e->samples);
	for (struct hak_part *part = e->parts; part; part = part->next) {
		if (part->sampled_ns && now - part->sampled_ns < SAMPLE_NS)
			continue;
		if (!hak_share_enter(&e->samples, part->process->id.account, NULL))
			continue;
		hak_resident_read(part->process->seg, HAK_RESIDENT_SUMMED, &part->sample);
		part->sampled_ns = now;
		hak_share_leave(&e->samples, NULL);
	}
}

/* Returns the age of the oldest sample. */
static uint64_t samples_age_ns(const struct hak_exposition *e)
{
	uint64_t now = hak_monotonic_ns(), oldest = now;

	for (const struct hak_part *part = e->parts; part; part = part->next)
		if (part->sampled_ns)
			oldest = least(oldest, part->sampled_ns);
	return now - oldest;
}

/* A process without a turn keeps its previous figures. */
static void read_parts(struct hak_exposition *e)
{
	hak_shares_look(&e->shares);
	hak_shares_begin(&e->shares);
	for (struct hak_part *part = e->parts; part; part = part->next) {
		if (!hak_share_enter(&e->shares, part->process->id.account, &part->turn))
			continue;
		part_read(e, part);
		e->manager->reads_put_off += hak_share_leave(&e->shares, &part->turn);
	}
}

static int text(enum hak_metrics_format format, void *arg, char **ret, size_t *ret_bytes)
{
	struct hak_exposition *e = arg;
	struct hak_metrics_daemon daemon;
	uint64_t now = hak_monotonic_ns();
	FILE *to;
	int r;

	if (e->read_ns == 0 || now - e->read_ns > FRESH_NS) {
		sample_parts(e);
		read_parts(e);
		e->read_ns = hak_monotonic_ns();
		e->unsaved = true;
	}
	daemon.put_off = hak_look_put_off(e->manager);
	daemon.samples_age_ns = samples_age_ns(e);
	*ret = NULL;
	to = open_memstream(ret, ret_bytes);
	if (!to)
		return -ENOMEM;
	r = hak_metrics_write(e->metrics, format, &daemon, to);
	if (fclose(to) != 0)
		r = -ENOMEM;
	if (r < 0)
		free(*ret);
	return r;
}

static const struct hak_observer observer = {
	.added = on_added,
	.removed = on_removed,
	.purged = on_purged,
	.tick = on_tick,
};

int hak_exposition_start(struct hak_manager *m, const char *folder, struct hak_exposition **ret)
{
	struct hak_exposition *e = calloc(1, sizeof(*e));
	char path[HAK_PATH_BYTES], *sums = NULL;
	int r;

	if (!e)
		return -ENOMEM;
	e->manager = m;
	e->samples = (struct hak_shares){ .pass_ns = SAMPLES_NS,
					  .user_ns = SAMPLES_USER_NS,
					  .piece_ns = SAMPLES_NS,
					  .secret = m->shares.secret };
	e->shares = (struct hak_shares){ .pass_ns = READ_NS,
					 .user_ns = READ_USER_NS,
					 .piece_ns = READ_ONE_NS,
					 .secret = m->shares.secret };
	e->ends = e->shares;
	hak_shares_begin(&e->ends);
	snprintf(path, sizeof(path), "%.400s/metrics", folder);
	r = hak_metrics_new(HAK_METRICS_DAEMON, &e->metrics);
	if (r == 0)
		r = hak_store_open(STORE_NAME, &e->store, &sums);
	if (r == 0 && sums)
		load(e, sums);
	free(sums);
	if (r == 0)
		r = hak_scrapes_start(m->event, path, text, e, &e->scrapes);
	if (r == 0)
		r = hak_processes_observe(m, &observer, e);
	if (r < 0) {
		hak_log(LOG_WARNING, "no metrics at %s: %s", path, strerror(-r));
		hak_exposition_stop(e);
		return r;
	}
	*ret = e;
	return 0;
}

void hak_exposition_stop(struct hak_exposition *e)
{
	if (!e)
		return;
	if (e->metrics)
		save(e);
	hak_scrapes_stop(e->scrapes);
	free_parts(&e->parts);
	free_unclaimed(e);
	hak_store_close(e->store);
	hak_metrics_free(e->metrics);
	free(e);
}
