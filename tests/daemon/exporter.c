/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/exporter.c with a clock, a daemon and an HTTP server of the test's own: for any number of
 * slow clients no more than TEXTS_MAX texts of a format are in memory, slow clients of one format
 * keep no client from the other format, and an absent daemon is asked once a second.
 */
int exporter_main(int argc, char **argv);
#define main exporter_main
#include "hakmemd/exporter.c"
#undef main
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;
static bool daemon_answers = true;
static unsigned asked;

/* -- what exporter.c needs of the others ------------------------------------------------------- */
struct MHD_Response {
	unsigned users;
	void *text;
	MHD_ContentReaderFreeCallback free_text;
};

struct MHD_Response *
MHD_create_response_from_buffer_with_free_callback(size_t bytes, void *text,
						   MHD_ContentReaderFreeCallback free_text)
{
	struct MHD_Response *r = calloc(1, sizeof(*r));

	if (!r)
		exit(99);
	*r = (struct MHD_Response){ .users = 1, .text = text, .free_text = free_text };
	return r;
}

void MHD_destroy_response(struct MHD_Response *r)
{
	if (--r->users)
		return;
	r->free_text(r->text);
	free(r);
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *r, const char *name, const char *value)
{
	return MHD_YES;
}

uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

int hak_metrics_ask(const char *socket_path, enum hak_metrics_format format, uint64_t timeout_ns,
		    char **ret, size_t *ret_bytes, char why[HAK_WHY_TEXT])
{
	asked++;
	if (!daemon_answers) {
		strcpy(why, "no daemon");
		return -ECONNREFUSED;
	}
	*ret = strdup("text");
	*ret_bytes = 4;
	return *ret ? 0 : -ENOMEM;
}

/* -- the tests --------------------------------------------------------------------------------- */
static struct exporter e;

/* A client asks, and keeps the answer. */
static struct MHD_Response *get(enum hak_metrics_format format)
{
	char why[HAK_WHY_TEXT] = "";
	struct MHD_Response *r = fresh(&e, format, why);

	if (r)
		r->users++;
	EXPECT(!r == !!why[0], "a text or a reason: %s", why);
	return r;
}

static void test_slow_readers(void)
{
	struct MHD_Response *kept[64] = { NULL };
	unsigned most = 0, n = 0, of_both;

	for (unsigned i = 0; i < 60; i++) {
		now_ns += 2 * SECOND;
		/* For a while there is no daemon, and the latest text is dropped. */
		daemon_answers = i / 10 != 1 && i / 10 != 3;
		kept[n] = get(i % 2 ? HAK_METRICS_PROMETHEUS : HAK_METRICS_OPENMETRICS);
		n += kept[n] != NULL;
		of_both = texts[HAK_METRICS_OPENMETRICS] + texts[HAK_METRICS_PROMETHEUS];
		most = of_both > most ? of_both : most;
	}
	EXPECT(most == 2 * TEXTS_MAX, "%u texts in memory", most);
	while (n--)
		MHD_destroy_response(kept[n]);
	daemon_answers = true;
	now_ns += 2 * SECOND;
	asked = 0;
	for (unsigned i = 0; i < 10; i++)
		MHD_destroy_response(get(HAK_METRICS_PROMETHEUS));
	EXPECT(asked == 1, "asked %u times in one second", asked);
	of_both = texts[HAK_METRICS_OPENMETRICS] + texts[HAK_METRICS_PROMETHEUS];
	EXPECT(of_both <= 2, "%u texts without readers", of_both);
}

/* Slow clients keep as many texts of one format as there may be, and its latest text is dropped. */
static void test_other_format(void)
{
	struct MHD_Response *kept[8] = { NULL };
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++) {
		now_ns += 2 * SECOND;
		daemon_answers = i % 2 == 0;
		kept[n] = get(HAK_METRICS_OPENMETRICS);
		n += kept[n] != NULL;
	}
	EXPECT(n >= TEXTS_MAX, "%u texts are read", n);
	daemon_answers = true;
	for (unsigned i = 0; i < 3; i++) {
		struct MHD_Response *other;

		now_ns += 2 * SECOND;
		asked = 0;
		other = get(HAK_METRICS_PROMETHEUS);
		EXPECT(other && asked == 1, "no new text of the other format");
		if (other)
			MHD_destroy_response(other);
	}
	while (n--)
		MHD_destroy_response(kept[n]);
}

static void test_no_daemon(void)
{
	daemon_answers = false;
	now_ns += 2 * SECOND;
	asked = 0;
	for (unsigned i = 0; i < 10; i++)
		EXPECT(!get(HAK_METRICS_PROMETHEUS), "an old text");
	EXPECT(asked == 1, "a daemon that is not there is asked %u times", asked);
	now_ns += 2 * SECOND;
	get(HAK_METRICS_PROMETHEUS);
	EXPECT(asked == 2, "and never again");
}

static const struct tcase cases[] = {
	{ "slow_readers", test_slow_readers },
	{ "other_format", test_other_format },
	{ "no_daemon", test_no_daemon },
};

CASES(cases)
