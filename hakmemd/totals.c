/* SPDX-License-Identifier: MIT */
/*
 * What processes counted that are no more: so that sums over all processes of a unit only ever
 * grow. A process's segment outlives it as long as we hold its descriptor, so its last counts are
 * exact. Rows are bounded, as a stranger chooses the names: beyond, all go into one row.
 */
#include <stdlib.h>
#include <string.h>

#include "hakmemd/manager.h"

#define ROWS_MAX 512u

static const char others[] = "(others)";

static struct hak_totals *find(struct hak_manager *m, const char *unit, const char *comm,
			       const char *policy)
{
	struct hak_totals *t = m->totals;

	while (t && (strcmp(t->unit, unit) != 0 || strcmp(t->comm, comm) != 0 ||
		     strcmp(t->policy, policy) != 0))
		t = t->next;
	return t;
}

static void free_row(struct hak_totals *t)
{
	free(t->unit);
	free(t->comm);
	free(t->policy);
	free(t);
}

struct hak_totals *hak_totals_of(struct hak_manager *m, const char *unit, const char *comm,
				 const char *policy)
{
	struct hak_totals *t = find(m, unit, comm, policy);

	if (t)
		return t;
	if (m->totals_n >= ROWS_MAX && strcmp(comm, others) != 0)
		return hak_totals_of(m, "", others, "");
	t = calloc(1, sizeof(*t) + hak_counter_rows_n * sizeof(t->value[0]));
	if (!t)
		return NULL;
	t->unit = strdup(unit);
	t->comm = strdup(comm);
	t->policy = strdup(policy);
	if (!t->unit || !t->comm || !t->policy) {
		free_row(t);
		return NULL;
	}
	t->next = m->totals;
	m->totals = t;
	m->totals_n++;
	return t;
}

void hak_totals_add(struct hak_process *p)
{
	const char *policy = p->effect.first ? p->effect.first->name : "";
	struct hak_totals *t = hak_totals_of(p->manager, p->id.unit, p->id.comm, policy);
	struct hak_snapshot snap;

	p->manager->state_stale = true;
	if (!t)
		return;
	t->processes++;
	t->returned_bytes += p->returned_bytes;
	if (hak_snapshot_take(p->seg, &snap) < 0)
		return;
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		if (hak_counter_rows[i].kind == HAK_KIND_COUNTER)
			t->value[i] += hak_total(p->seg, &snap, hak_counter_rows[i].id);
	hak_snapshot_free(&snap);
}

void hak_totals_free(struct hak_manager *m)
{
	struct hak_totals *t, *next;

	for (t = m->totals; t; t = next) {
		next = t->next;
		free_row(t);
	}
	m->totals = NULL;
	m->totals_n = 0;
}
