/* SPDX-License-Identifier: MIT */
/* The number of known processes of each account, see known.h. */
#include <stdlib.h>

#include "control/cgroup.h"
#include "hakmemd/known.h"

static uint32_t place_of(uid_t account, uint32_t secret)
{
	return hak_account_place(account, secret, HAK_KNOWN_BUCKETS);
}

static struct hak_known_account *find(const struct hak_known *known, uid_t account, uint32_t secret)
{
	struct hak_known_account *a = known->bucket[place_of(account, secret)];

	while (a && a->account != account)
		a = a->next;
	return a;
}

const struct hak_known_account *hak_known_largest(const struct hak_known *known)
{
	const struct hak_known_account *largest = NULL;

	for (unsigned i = 0; i < HAK_KNOWN_BUCKETS; i++)
		for (const struct hak_known_account *a = known->bucket[i]; a; a = a->next)
			if (a->account && (!largest || a->n > largest->n))
				largest = a;
	return largest;
}

enum hak_known_room hak_known_room(const struct hak_known *known, uid_t account, uint32_t secret)
{
	const struct hak_known_account *own = find(known, account, secret);
	unsigned n = own ? own->n : 0, accounts = known->accounts + !own;

	if (account == 0)
		return HAK_KNOWN_FREE;
	if (n >= HAK_KNOWN_OF_ACCOUNT)
		return HAK_KNOWN_FULL;
	if (known->n < HAK_KNOWN_MAX)
		return HAK_KNOWN_FREE;
	/* With one more process the account still has less than the one that loses a process, so
	 * that the two do not displace each other in turn. */
	if (n < HAK_KNOWN_MAX / accounts && hak_known_largest(known)->n > n + 1)
		return HAK_KNOWN_DISPLACE;
	return HAK_KNOWN_FULL;
}

struct hak_known_account *hak_known_enter(struct hak_known *known, uid_t account, uint32_t secret)
{
	struct hak_known_account *a = find(known, account, secret), **bucket;

	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return NULL;
		bucket = &known->bucket[place_of(account, secret)];
		a->account = account;
		a->next = *bucket;
		*bucket = a;
		known->accounts += account != 0;
	}
	a->n++;
	known->n += account != 0;
	return a;
}

void hak_known_leave(struct hak_known *known, struct hak_known_account *a, uint32_t secret)
{
	struct hak_known_account **at = &known->bucket[place_of(a->account, secret)];

	known->n -= a->account != 0;
	if (--a->n)
		return;
	known->accounts -= a->account != 0;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}
