/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/askers.c with clocks, a bus and a dbus-daemon of the test's own: each connection is asked
 * about once, and asking counts as work; refused messages are thrown away in one turn.
 */
#include "hakmemd/askers.c"
#include "tests/check.h"

#define MS 1000000

static int64_t processor_ns = 1;
static uint64_t now_ns = 1000000ull * MS;
static unsigned asked;	    /* questions to dbus-daemon */
static int64_t question_ns; /* processor time for each */
static uint64_t refusals;

/* A message is the name and the user of its sender. */
struct message {
	char name[16];
	uid_t uid;
};

static struct message sender; /* the connection about which dbus-daemon is asked */
static unsigned queue;	      /* messages of `sender` that wait on the bus */
static struct hak_askers *askers;

/* -- what askers.c needs of the others --------------------------------------------------------- */
int64_t hak_processor_ns(void)
{
	return processor_ns;
}

uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

/* Users from 1000 on are one person's. */
uid_t hak_account_of_peer(pid_t pid, uid_t uid)
{
	return uid < 1000 ? uid : 1000;
}

int hak_credentials_new(const char *address, struct hak_credentials **ret)
{
	*ret = NULL;
	return 0;
}

void hak_credentials_free(struct hak_credentials *c)
{
}

int hak_credentials_of(struct hak_credentials *c, const char *name, struct hak_caller *ret)
{
	asked++;
	processor_ns += question_ns;
	*ret = (struct hak_caller){ .uid = sender.uid, .pidfd = -1 };
	return 0;
}

const char *sd_bus_message_get_sender(sd_bus_message *message)
{
	return ((const struct message *)message)->name;
}

int sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret)
{
	*ret = 0;
	return 0;
}

int sd_bus_get_fd(sd_bus *bus)
{
	return -1;
}

/* Each of them takes ten microseconds to be thrown away. */
int sd_bus_process(sd_bus *bus, sd_bus_message **ret)
{
	if (!queue)
		return 0;
	queue--;
	processor_ns += MS / 100;
	hak_askers_begin(askers, (sd_bus_message *)&sender);
	return 1;
}

/* -- the tests --------------------------------------------------------------------------------- */
static void begin(void)
{
	static sd_event *event;

	hak_askers_free(askers);
	if (!event)
		EXPECT(sd_event_new(&event) >= 0, "an event loop");
	EXPECT(hak_askers_new(event, NULL, "", &refusals, &askers) == 0, "askers");
	asked = queue = 0;
	question_ns = 0;
}

/* One message of connection number `n` of this user; it costs `ns` of processor time. */
static int ask(uid_t uid, unsigned n, int64_t ns)
{
	int r;

	snprintf(sender.name, sizeof(sender.name), ":1.%u", n);
	sender.uid = uid;
	r = hak_askers_begin(askers, (sd_bus_message *)&sender);
	if (r == 0)
		processor_ns += ns;
	after(NULL, askers);
	return r;
}

/*
 * As many connections as dbus-daemon lets one user have; a few sets may have more than four of
 * them.
 */
static void check_connections(void)
{
	begin();
	for (unsigned round = 0; round < 8; round++)
		for (unsigned n = 0; n < 256; n++)
			ask(1, 1000 + n, 0);
	EXPECT(asked <= 256 + 64, "asked %u times about 256 connections", asked);
}

static void check_asking_counts(void)
{
	unsigned n = 0;

	begin();
	question_ns = 5 * MS;
	while (n < 1000 && ask(1, n, 0) == 0)
		n++;
	EXPECT(n <= FREE_NS / question_ns, "%u new connections for nothing", n);
	EXPECT(ask(2, 2000, 0) == 0, "another user");
}

static void check_later_work(void)
{
	begin();
	ask(1, 1, 0);
	hak_askers_charge(askers, 1, FREE_NS);
	EXPECT(hak_askers_owes(askers, 1), "work that was done later is for nothing");
	EXPECT(ask(1, 1, 0) < 0, "one who owes is served");
	hak_askers_charge(askers, 0, 100ll * FREE_NS);
	EXPECT(!hak_askers_owes(askers, 0) && !hak_askers_owes(askers, 2), "others pay");
	now_ns += 4ull * FREE_NS * SHARE;
	EXPECT(!hak_askers_owes(askers, 1) && ask(1, 1, 0) == 0, "a debt lasts for ever");
}

/* While time stands still, each account has a quarter of a second, for any number of users. */
static void check_rotation(uid_t first, unsigned users, unsigned accounts)
{
	unsigned served = 0;

	begin();
	for (unsigned round = 0; round < 100; round++)
		for (unsigned i = 0; i < users; i++)
			served += ask(first + i, first + i, 10 * MS) == 0;
	EXPECT(served && served <= FREE_NS / (10 * MS) * accounts,
	       "%u users in turn: %u questions of 10 ms", users, served);
}

/* An expensive question is paid for as any other work is, but not for ever. */
static void check_dear(void)
{
	begin();
	ask(1, 1, 8 * FREE_NS);
	now_ns += 6ull * FREE_NS * SHARE;
	EXPECT(ask(1, 1, 0) < 0, "a question that costs 8 times what is free is forgotten");
	now_ns += 2ull * FREE_NS * SHARE;
	EXPECT(ask(1, 1, 1000ll * FREE_NS) == 0, "it is never forgotten");
	now_ns += 21ull * FREE_NS * SHARE;
	EXPECT(ask(1, 1, 0) == 0, "one dear question, and the user is refused for ever");
}

static void check_drain(void)
{
	begin();
	while (ask(1, 1, 10 * MS) == 0)
		;
	queue = 1000;
	ask(1, 1, 0);
	EXPECT(queue == 0, "%u of 1000 refused messages are left to the next turn", queue);
}

static void few_rotate(void)
{
	check_rotation(1, 40, 40);
}

static void many_rotate(void)
{
	check_rotation(1000, 40, 1);
}

static const struct tcase cases[] = {
	{ "connections", check_connections },
	{ "asking_counts", check_asking_counts },
	{ "later_work", check_later_work },
	{ "dear", check_dear },
	{ "few_rotate", few_rotate },
	{ "many_rotate", many_rotate },
	{ "drain", check_drain },
};

CASES(cases)
