/* SPDX-License-Identifier: MIT */
/* Who asks on the bus, see askers.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/cgroup.h"
#include "control/segment.h"
#include "hakmemd/askers.h"
#include "hakmemd/credentials.h"

/* Connections whose user is remembered: dbus-daemon lets a user have 256. */
#define SETS	   1024u /* a power of two */
#define WAYS	   4u
#define NAME_BYTES 24u	 /* ":1.4711"; longer ones are asked for each time */
#define USERS	   1024u /* a power of two */
#define SHARE	   10u	 /* one part in so many */
#define FREE_NS	   250000000
/* What is owed at most: nobody is refused for longer than SHARE times this. A question may cost
 * more than FREE_NS, and is paid for. */
#define DEBT_NS (20ll * FREE_NS)
/* Refusals that are answered: at once, and one more each time that so long has passed. */
#define ANSWERS	  64u
#define ANSWER_NS 10000000u
/* In one turn of the event loop, unless nothing is left earlier. */
#define DRAIN_NS 20000000
/* Answers that dbus-daemon has not taken yet, before it is waited for; how long, at a time. */
#define UNSENT_MAX 16u
#define ROOM_MS	   100
#define ROOM_TRIES 10u
/* Before the bus's own sources, so that nothing else is counted. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL - 10)

struct sender {
	char name[NAME_BYTES]; /* "": this place is free */
	struct hak_asker asker;
};

/* Of one account, or of several: nobody gets a new one by being another user. */
struct user {
	int64_t left_ns; /* of its time, as of `seen_ns` */
	uint64_t seen_ns;
	uint64_t answers_ns; /* when the refusals answered so far will be paid for */
};

struct hak_askers {
	sd_event_source *after;
	struct sender senders[SETS][WAYS]; /* in each set, who asked last comes first */
	uint64_t secret;		   /* nobody chooses with whom to share a set */
	struct user users[USERS];
	struct user *now; /* whose message is looked at; NULL: nobody's that counts */
	int64_t begun_ns; /* of our processor time */
	sd_bus *bus;
	struct hak_credentials *credentials;
	uint64_t *refusals;
	bool refused; /* the message before */
};

/* -- users ------------------------------------------------------------------------------------- */
/* With the time that he has by now. */
static struct user *user_now(struct hak_askers *a, uid_t account, uint64_t now)
{
	struct user *u = &a->users[hak_account_place(account, (uint32_t)a->secret, USERS)];
	uint64_t passed = u->seen_ns ? now - u->seen_ns : 0;

	u->seen_ns = now;
	if (passed > (DEBT_NS + FREE_NS) * SHARE)
		passed = (DEBT_NS + FREE_NS) * SHARE;
	u->left_ns += (int64_t)(passed / SHARE);
	if (u->left_ns > FREE_NS)
		u->left_ns = FREE_NS;
	return u;
}

static void take(struct user *u, int64_t ns)
{
	u->left_ns -= ns;
	if (u->left_ns < -DEBT_NS)
		u->left_ns = -DEBT_NS;
}

/* Of the message that was looked at, if any. */
static void charge(struct hak_askers *a)
{
	if (a->now)
		take(a->now, hak_processor_ns() - a->begun_ns);
	a->now = NULL;
}

void hak_askers_charge(struct hak_askers *a, uid_t account, int64_t ns)
{
	if (account)
		take(user_now(a, account, hak_monotonic_ns()), ns);
}

bool hak_askers_owes(struct hak_askers *a, uid_t account)
{
	return account && user_now(a, account, hak_monotonic_ns())->left_ns <= 0;
}

/* -- the loop ---------------------------------------------------------------------------------- */
static bool has_room(const struct hak_askers *a)
{
	uint64_t unsent;

	return sd_bus_get_n_queued_write(a->bus, &unsent) < 0 || unsent <= UNSENT_MAX;
}

/*
 * Lets dbus-daemon take what it asked for before it gets more. Not by sd_bus_flush(), which waits
 * for what comes in, too, and so does not wait at all while there are questions: it would keep the
 * processor from the one it waits for.
 */
static void wait_for_room(struct hak_askers *a)
{
	struct pollfd p = { .fd = sd_bus_get_fd(a->bus), .events = POLLOUT };

	for (unsigned i = 0; i < ROOM_TRIES && !has_room(a); i++) {
		if (poll(&p, 1, ROOM_MS) < 0 || sd_bus_process(a->bus, NULL) < 0)
			return;
		charge(a);
	}
}

static int after(sd_event_source *source, void *arg)
{
	struct hak_askers *a = arg;
	int64_t end_ns = hak_processor_ns() + DRAIN_NS;

	charge(a);
	wait_for_room(a);
	while (a->refused && hak_processor_ns() < end_ns) {
		a->refused = false;
		if (sd_bus_process(a->bus, NULL) <= 0)
			break;
		charge(a);
	}
	return 0;
}

int hak_askers_new(sd_event *event, sd_bus *bus, const char *address, uint64_t *refused,
		   struct hak_askers **ret)
{
	struct hak_askers *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	if (getrandom(&a->secret, sizeof(a->secret), GRND_NONBLOCK) != sizeof(a->secret))
		a->secret = hak_monotonic_ns();
	for (unsigned i = 0; i < USERS; i++)
		a->users[i].left_ns = FREE_NS;
	a->bus = bus;
	a->refusals = refused;
	r = hak_credentials_new(address, &a->credentials);
	if (r >= 0)
		r = sd_event_add_post(event, &a->after, after, a);
	if (r >= 0)
		r = sd_event_source_set_priority(a->after, PRIORITY);
	if (r < 0) {
		hak_askers_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void hak_askers_free(struct hak_askers *a)
{
	if (!a)
		return;
	sd_event_source_disable_unref(a->after);
	hak_credentials_free(a->credentials);
	free(a);
}

/* -- senders ----------------------------------------------------------------------------------- */
/* The first place of the set. */
static struct sender *set_of(struct hak_askers *a, const char *name)
{
	uint64_t hash = a->secret;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x9e3779b97f4a7c15u;
	return a->senders[(hash ^ hash >> 32) & (SETS - 1)];
}

/* Brings a known sender to the first place of its set; false: it is not known. */
static bool find_sender(struct sender *set, const char *name)
{
	struct sender found;

	for (unsigned i = 0; i < WAYS; i++) {
		if (strcmp(set[i].name, name) != 0)
			continue;
		found = set[i];
		memmove(set + 1, set, i * sizeof(*set));
		set[0] = found;
		return true;
	}
	return false;
}

/* In place of the one of this set that asked longest ago. */
static void add_sender(struct sender *set, const char *name, const struct hak_asker *asker)
{
	if (strlen(name) >= NAME_BYTES)
		return;
	memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
	*set = (struct sender){ .asker = *asker };
	strcpy(set->name, name);
}

int hak_askers_caller(struct hak_askers *a, sd_bus_message *message, struct hak_caller *ret)
{
	const char *name = sd_bus_message_get_sender(message);

	return name ? hak_credentials_of(a->credentials, name, ret) : -ENXIO;
}

static int ask_daemon(struct hak_askers *a, const char *name, struct hak_asker *ret)
{
	struct hak_caller caller;
	int r = hak_credentials_of(a->credentials, name, &caller);

	if (r < 0)
		return r;
	ret->uid = caller.uid;
	ret->account = hak_account_of_peer(caller.pid, caller.uid);
	if (caller.pidfd >= 0)
		close(caller.pidfd);
	return 0;
}

/* A name on the bus is one connection's, and no other's later. */
int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret)
{
	const char *name = sd_bus_message_get_sender(message);
	struct hak_asker asker;
	struct sender *set;
	int r;

	if (!name)
		return -ENXIO;
	set = set_of(a, name);
	if (find_sender(set, name)) {
		*ret = set->asker;
		return 0;
	}
	r = ask_daemon(a, name, &asker);
	if (r < 0)
		return r;
	add_sender(set, name, &asker);
	*ret = asker;
	return 0;
}

/* -- questions --------------------------------------------------------------------------------- */
/* Whether a refusal is answered. */
static bool is_answered(struct user *u, uint64_t now)
{
	if (u->answers_ns < now)
		u->answers_ns = now;
	if (u->answers_ns - now >= ANSWERS * ANSWER_NS)
		return false;
	u->answers_ns += ANSWER_NS;
	return true;
}

int hak_askers_begin(struct hak_askers *a, sd_bus_message *message)
{
	uint64_t now = hak_monotonic_ns();
	int64_t begun_ns = hak_processor_ns();
	struct user *u;
	struct hak_asker asker;
	int r = hak_askers_who(a, message, &asker);

	if (r < 0 || asker.account == 0)
		return r;
	u = user_now(a, asker.account, now);
	a->now = u;
	a->begun_ns = begun_ns;
	if (u->left_ns > 0)
		return 0;
	a->refused = true;
	++*a->refusals;
	return is_answered(u, now) ? -EDQUOT : -EBUSY;
}
