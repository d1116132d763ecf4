/* SPDX-License-Identifier: MIT */
/*
 * Plays hakmemd for hakmemctl, with faulty answers: liar HAKMEMCTL. control/report.c and
 * control/request.c make every document that hakmemctl may be given, from a segment of the test's
 * own. Each is then served without a key, with a key of another type, with keys of a newer version,
 * and with strings on which a terminal would act; and hakmemctl is run on each. hakmemctl may
 * refuse an answer or print it, but must never crash, and never print what a terminal would act on.
 *
 * liar --hold: is a process whose segment holds such strings, for hakmemd.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "control/bus.h"
#include "control/documents.h"
#include "control/escape.h"
#include "control/missing.h"
#include "control/request.h"
#include "tests/check.h"
#include "tests/control/fake.h"

/* ESC, CSI as a C1 control, RIGHT-TO-LEFT OVERRIDE, a zero-width space, a line of its own. */
#define EVIL "\033[31mred\302\2332J\342\200\256rtl\342\200\213\nhakmemctl: all is well"
#define TAMED                                                            \
	"\\x1b[31mred\\xc2\\x9b2J\\xe2\\x80\\xaertl\\xe2\\x80\\x8b\\x0a" \
	"hakmemctl: all is well"

#define SAID_BYTES (1u << 20)

static const char *hakmemctl;
static char pid[16], said[2][SAID_BYTES];

/* -- what is served ---------------------------------------------------------------------------- */
static struct document {
	enum hak_document document;
	bool rows;
	const char *method, *word; /* Describe() takes the word */
	const char *verb[6];	   /* [2] is the PID where it is "" */
	bool shows_none;	   /* prints nothing that is served */
	char *good;		   /* the correct document */
	const char *text;	   /* the document served */
} documents[] = {
	{ HAK_DOCUMENT_LIST, false, "Describe", "list", { "list" } },
	{ HAK_DOCUMENT_STATS, false, "Describe", "stats", { "stats", pid } },
	{ HAK_DOCUMENT_CLASSES, false, "Describe", "classes", { "stats", pid, "--classes" } },
	{ HAK_DOCUMENT_VALUE, true, "Describe", "values", { "get", pid } },
	{ HAK_DOCUMENT_VALUE,
	  true,
	  "Describe",
	  "values",
	  { "tunables", pid, "--changed" },
	  .shows_none = true },
	{ HAK_DOCUMENT_TUNABLE, true, "Describe", "tunables", { "tunables", pid } },
	{ HAK_DOCUMENT_CHANGE, true, "Change", NULL, { "set", pid, "whale.ring_slots=9" } },
	{ HAK_DOCUMENT_CHANGE, true, "Reset", NULL, { "reset", pid } },
	{ HAK_DOCUMENT_PURGE, true, "Purge", NULL, { "purge", pid } },
};
#define DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

static const char *error_text; /* instead of an answer */
static uint32_t listed_pid;
static bool listed_twice;
static sd_bus *bus;

static int on_list(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	char path[64];

	(void)arg, (void)error;
	snprintf(path, sizeof(path), HAK_BUS_PROCESSES "/%s_1", pid);
	if (listed_twice)
		return sd_bus_reply_method_return(m, "a(uuso)", 2, listed_pid, 0, EVIL, path,
						  listed_pid, 0, EVIL, path);
	return sd_bus_reply_method_return(m, "a(uuso)", 1, listed_pid, 0, EVIL, path);
}

static int on_call(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *member = sd_bus_message_get_member(m), *word = NULL;

	(void)arg;
	if (error_text)
		return sd_bus_error_set(error, HAK_BUS_UNREADABLE, error_text);
	if (strcmp(member, "Describe") == 0)
		sd_bus_message_read(m, "s", &word);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		const struct document *d = &documents[i];

		if (strcmp(d->method, member) != 0 || (word && strcmp(d->word, word) != 0))
			continue;
		return strcmp(member, "Purge")
			       ? sd_bus_reply_method_return(m, "s", d->text)
			       : sd_bus_reply_method_return(m, "sts", "done", 1ull, d->text);
	}
	return -ENOSYS;
}

static const sd_bus_vtable manager_vtable[] = { SD_BUS_VTABLE_START(0),
						SD_BUS_METHOD("ListProcesses", "s", "a(uuso)",
							      on_list, SD_BUS_VTABLE_UNPRIVILEGED),
						SD_BUS_VTABLE_END };
static const sd_bus_vtable process_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Describe", "s", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Change", "a(ss)ttb", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reset", "ast", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Purge", "st", "sts", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END
};

static void serve(void)
{
	char path[64];

	snprintf(path, sizeof(path), HAK_BUS_PROCESSES "/%s_1", pid);
	if (sd_bus_open_system(&bus) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, HAK_BUS_PATH, HAK_BUS_MANAGER, manager_vtable,
				     NULL) < 0 ||
	    sd_bus_add_object_vtable(bus, NULL, path, HAK_BUS_PROCESS, process_vtable, NULL) < 0 ||
	    sd_bus_request_name(bus, HAK_BUS_NAME, 0) < 0)
		errx(99, "cannot be on the bus");
}

/* -- the truth --------------------------------------------------------------------------------- */
static char *text_of(struct json_object *o)
{
	char *text = strdup(json_object_to_json_string(o));

	json_object_put(o);
	return text;
}

static struct json_object *change_rows(struct hak_segment *seg, struct fake *f)
{
	struct hak_wish wish = { .name = "whale.ring_slots", .text = "9" };
	const struct hak_wishes wishes = { &wish, 1, 60000000000, false };
	struct hak_request *request;

	for (int i = 0; i < 2; i++) { /* the second time there is a layer before */
		request = hak_request_change(seg, &wishes);
		fake_apply(f);
		if (i == 0)
			json_object_put(hak_request_answer(seg, request, 0));
	}
	return hak_request_answer(seg, request, 0);
}

static struct json_object *purge_rows(struct hak_segment *seg, struct fake *f)
{
	const struct hak_purge_how how = { .level = HAK_PURGE_ALL };
	struct hak_request *request = hak_request_purge(seg, &how);

	fake_answer(f, 4096, 1000);
	return hak_request_answer(seg, request, hak_request_wait(seg, request, 0));
}

static void make_documents(struct fake *f)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;

	if (hak_segment_open(getpid(), HAK_SEGMENT_WRITE, &seg, why) < 0)
		errx(99, "%s", why);
	for (size_t i = 0; i < DOCUMENTS; i++) {
		struct document *d = &documents[i];
		struct json_object *o;
		enum hak_report what;

		if (!d->word)
			o = d->document == HAK_DOCUMENT_PURGE ? purge_rows(seg, f)
							      : change_rows(seg, f);
		else if (hak_report_of(d->word, &what) < 0 ||
			 hak_report_make(seg, what, false, &o) < 0)
			errx(99, "no document %s", d->word);
		d->text = d->good = text_of(o);
	}
	hak_segment_close(seg);
}

/* -- hakmemctl --------------------------------------------------------------------------------- */
static void become_hakmemctl(const struct document *d, bool json, const int fd[2])
{
	const char *argv[12] = { hakmemctl, "--no-pager", "-H", "far" };
	size_t n = 4;

	for (size_t i = 0; d->verb[i]; i++)
		argv[n++] = d->verb[i];
	if (json)
		argv[n++] = "--json=short";
	dup2(fd[0], STDOUT_FILENO);
	dup2(fd[1], STDERR_FILENO);
	execv(hakmemctl, (char **)argv);
	_exit(127);
}

static int file_for(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		err(99, "memfd");
	return fd;
}

static void read_back(int fd, char *text)
{
	ssize_t n = pread(fd, text, SAID_BYTES - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/*
 * Returns the exit code, with the output in `said`; -1 if hakmemctl was killed, also by a
 * sanitizer.
 */
static int run(const struct document *d, bool json)
{
	int fd[2] = { file_for("out"), file_for("err") }, status;
	pid_t child = fork();

	if (child == 0)
		become_hakmemctl(d, json, fd);
	while (waitpid(child, &status, WNOHANG) == 0)
		if (sd_bus_process(bus, NULL) == 0)
			sd_bus_wait(bus, 2000);
	read_back(fd[0], said[0]);
	read_back(fd[1], said[1]);
	return !WIFEXITED(status) || strstr(said[1], "Sanitizer") ||
			       strstr(said[1], "runtime error")
		       ? -1
		       : WEXITSTATUS(status);
}

static bool is_clean(const char *text)
{
	bool clean = true;
	char line[4096];

	for (; clean && *text; text += strcspn(text, "\n"), text += *text == '\n') {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		clean = hak_is_printable(line);
	}
	return clean;
}

/* A process that cannot be read has its row in the list, which is a good list. */
static bool complains(const struct document *d, int code, const char *why)
{
	bool list = d->document == HAK_DOCUMENT_LIST;

	return code == (list ? 0 : 1) && strstr(said[list ? 0 : 1], why);
}

/* Checks what holds for every run; `what` names the fault. */
static int run_on(struct document *d, const char *text, bool json, const char *what)
{
	int code;

	d->text = text;
	for (size_t i = 0; i < DOCUMENTS; i++) /* all of those that share a method */
		if (documents[i].document == d->document)
			documents[i].text = text;
	code = run(d, json);
	EXPECT(code >= 0 && code <= 1, "%s, %s: exit %d: %.300s", d->verb[0], what, code, said[1]);
	EXPECT(is_clean(said[0]) && is_clean(said[1]), "%s, %s: prints raw text: %.300s %.300s",
	       d->verb[0], what, said[0], said[1]);
	EXPECT(code != 1 || strstr(said[1], "invalid answer: "), "%s, %s: failed with: %.300s",
	       d->verb[0], what, said[1]);
	return code;
}

/* -- lies, key by key -------------------------------------------------------------------------- */
static const char *const wrong_types[] = { "null", "\"1\"", "1",   "-1",    "1.5", "true",
					   "[]",   "{}",    "[1]", "1e999", "NaN" };
#define WRONG_TYPES (sizeof(wrong_types) / sizeof(wrong_types[0]))

/* hakmemctl itself is run where a key is absent or null: readers could take the key for granted. */
static unsigned refused, accepted;

/* The whole document, printed with the fault, to the check and to hakmemctl. */
static void try_lie(struct document *d, struct json_object *whole, const char *what, bool wants,
		    bool run_it)
{
	char *text = strdup(json_object_to_json_string(whole)), why[HAK_WHY_TEXT] = "";
	struct json_object *o = NULL;
	int r = hak_document_read(text, d->document, d->rows, &o, why);

	EXPECT((r == 0) == wants, "%s, %s: %s", d->verb[0], what, r ? why : "was believed");
	EXPECT(r == 0 || strchr(why, '`') || strstr(why, "no JSON"), "%s, %s: \"%s\" names no key",
	       d->verb[0], what, why);
	r == 0 ? accepted++ : refused++;
	if (run_it) {
		int code = run_on(d, text, r == 0 && accepted % 2, what);

		EXPECT(wants ? code == 0 : complains(d, code, why), "%s, %s: exit %d, \"%.300s\"",
		       d->verb[0], what, code, said[1]);
	}
	json_object_put(o);
	free(text);
}

/* Returns the row of a key, that of "*" if it has none; NULL: it belongs to no document. */
static const struct hak_document_key *key_of(enum hak_document document, const char *name)
{
	const struct hak_document_key *any = NULL, *found = NULL;

	for (size_t i = 0; !found && i < hak_document_keys_n; i++) {
		const struct hak_document_key *key = &hak_document_keys[i];

		if (key->document != document)
			continue;
		if (key->kind == HAK_KIND_ALL_OF)
			found = key_of(key->inner, name);
		else if (strcmp(key->name, name) == 0)
			found = key;
		else if (strcmp(key->name, "*") == 0)
			any = key;
	}
	return found ? found : any;
}

static bool suits(const struct hak_document_key *key, const char *value)
{
	switch (key->kind) {
	case HAK_KIND_NUMBER:
		return strcmp(value, "1") == 0;
	case HAK_KIND_RATIO:
		return strcmp(value, "1") == 0 || strcmp(value, "1.5") == 0;
	case HAK_KIND_TEXT:
		return value[0] == '"';
	case HAK_KIND_BOOL:
		return strcmp(value, "true") == 0;
	case HAK_KIND_ROWS:
		return strcmp(value, "[]") == 0;
	case HAK_KIND_OBJECT:
		return key->inner == HAK_DOCUMENT_COUNTERS && strcmp(value, "{}") == 0;
	default:
		return false;
	}
}

static void lie_about(struct document *d, struct json_object *whole, struct json_object *o,
		      const struct hak_document_key *key, const char *name)
{
	struct json_object *truth = json_object_get(json_object_object_get(o, name));
	char what[200];

	json_object_object_del(o, name);
	snprintf(what, sizeof(what), "without %s", name);
	try_lie(d, whole, what, key->need == HAK_NEED_MAY || strcmp(key->name, "*") == 0, true);
	for (size_t i = 0; i < WRONG_TYPES; i++) {
		const char *value = wrong_types[i];
		bool null = strcmp(value, "null") == 0;

		/* As text, because json-c itself would not keep such numbers unchanged. */
		json_object_object_add(o, name, null ? NULL : json_object_new_double_s(0, value));
		if (!null && suits(key, value) && strcmp(name, "pid") == 0)
			continue;
		snprintf(what, sizeof(what), "%s = %s", name, value);
		try_lie(d, whole, what, null ? key->need != HAK_NEED_MUST : suits(key, value),
			null);
	}
	json_object_object_add(o, name, truth);
}

/* Every key of `o`, and of what is in it; of arrays the first element, of counters the first
 * few. */
static void lie_about_all(struct document *d, struct json_object *whole, struct json_object *o,
			  enum hak_document document)
{
	const char *names[1100];
	size_t n = 0;

	json_object_object_foreach(o, name_, value_)
	{
		(void)value_;
		names[n++] = strdup(name_);
	}
	for (size_t i = 0; i < n; i++) {
		const struct hak_document_key *key = key_of(document, names[i]);
		struct json_object *value = json_object_object_get(o, names[i]);

		EXPECT(key, "%s: no row of documents.def is about \"%s\"", d->verb[0], names[i]);
		if (!key || (document == HAK_DOCUMENT_COUNTERS && i >= 3) ||
		    (document == HAK_DOCUMENT_CLASSES && key->document != document))
			continue;
		lie_about(d, whole, o, key, names[i]);
		value = json_object_object_get(o, names[i]);
		if (key->kind == HAK_KIND_OBJECT)
			lie_about_all(d, whole, value, key->inner);
		else if (key->kind == HAK_KIND_ROWS)
			lie_about_all(d, whole, json_object_array_get_idx(value, 0), key->inner);
	}
	for (size_t i = 0; i < n; i++)
		free((char *)names[i]);
}

/* Keys of all the other documents: none is looked at, whatever its value. */
static void misplaced_keys(struct document *d)
{
	for (size_t v = 0; v < WRONG_TYPES - 2; v++) { /* 1e999 and NaN are no JSON */
		struct json_object *o = json_tokener_parse(d->good);
		struct json_object *first = d->rows ? json_object_array_get_idx(o, 0) : o;
		char *text;

		for (size_t i = 0; i < hak_document_keys_n; i++) {
			const char *name = hak_document_keys[i].name;

			if (*name && *name != '*' && !key_of(d->document, name))
				json_object_object_add(first, name,
						       json_tokener_parse(wrong_types[v]));
		}
		text = text_of(o);
		for (int json = 0; json <= 1; json++)
			EXPECT(run_on(d, text, json, "keys of other documents") == 0,
			       "%s: keys of other documents that are %s: %.300s", d->verb[0],
			       wrong_types[v], said[1]);
		free(text);
	}
}

/* -- lies about the whole ---------------------------------------------------------------------- */
/*
 * Makes the document another version's: a newer one has more keys, an older one lacks optional
 * ones.
 */
static void change_version(struct json_object *o, enum hak_document document, bool newer)
{
	for (size_t i = 0; i < hak_document_keys_n; i++) {
		const struct hak_document_key *key = &hak_document_keys[i];
		struct json_object *value;

		if (key->document != document)
			continue;
		if (key->kind == HAK_KIND_ALL_OF)
			change_version(o, key->inner, newer);
		else if (!newer && key->need == HAK_NEED_MAY)
			json_object_object_del(o, key->name);
		else if (json_object_object_get_ex(o, key->name, &value) &&
			 key->kind == HAK_KIND_OBJECT)
			change_version(value, key->inner, newer);
		else if (key->kind == HAK_KIND_ROWS)
			for (size_t j = 0; j < json_object_array_length(value); j++)
				change_version(json_object_array_get_idx(value, j), key->inner,
					       newer);
	}
	if (newer && document != HAK_DOCUMENT_COUNTERS && document != HAK_DOCUMENT_LAYERS)
		json_object_object_add(o, "of_later", json_tokener_parse("{\"deep\":[1,null]}"));
}

static void other_versions(struct document *d)
{
	for (int newer = 0; newer <= 1; newer++) {
		struct json_object *o = json_tokener_parse(d->good);
		struct json_object *first = d->rows ? json_object_array_get_idx(o, 0) : o;
		char *text;

		change_version(first, d->document, newer);
		text = text_of(o);
		for (int json = 0; json <= 1; json++)
			EXPECT(run_on(d, text, json, newer ? "of a newer" : "of an older") == 0,
			       "%s: %s hakmemd: %.300s", d->verb[0], newer ? "newer" : "older",
			       said[1]);
		EXPECT(!newer || d->shows_none || strstr(said[0], "of_later"),
		       "%s: of_later is lost", d->verb[0]);
		free(text);
	}
}

/* Sets every string of the document to EVIL, and adds a key. */
static void poison(struct json_object *o)
{
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			poison(json_object_array_get_idx(o, i));
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value)
		{
			(void)key;
			if (json_object_is_type(value, json_type_string))
				json_object_set_string(value, EVIL);
			else
				poison(value);
		}
		json_object_object_add(o, EVIL, json_object_new_int(1));
	}
}

static void evil_strings(struct document *d)
{
	struct json_object *o = json_tokener_parse(d->good), *printed;
	char *text;

	poison(o);
	text = text_of(o);
	EXPECT(run_on(d, text, false, "evil") == 0, "%s: evil strings: %.300s", d->verb[0],
	       said[1]);
	EXPECT(d->shows_none || strstr(said[0], TAMED), "%s: no \"%s\" in %.300s", d->verb[0],
	       TAMED, said[0]);
	run_on(d, text, true, "evil");
	printed = json_tokener_parse(said[0]);
	EXPECT(printed, "%s: no JSON: %.300s", d->verb[0], said[0]);
	json_object_put(printed);
	EXPECT(d->shows_none || strstr(said[0], "\\\\x1b[31m"),
	       "%s: JSON has other escapes: %.300s", d->verb[0], said[0]);
	free(text);
	error_text = EVIL;
	d->text = d->good;
	EXPECT(run(d, false) != 0 || strcmp(d->verb[0], "list") == 0, "%s: an error is success",
	       d->verb[0]);
	EXPECT(is_clean(said[1]) && is_clean(said[0]) &&
		       (strstr(said[1], TAMED) || strstr(said[0], TAMED)),
	       "%s: raw error: %s", d->verb[0], said[1]);
	error_text = NULL;
}

static char *nested(size_t depth)
{
	char *text = malloc(2 * depth + 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return text;
}

/* json-c takes hundreds of bytes for each of these. */
static char *many_values(void)
{
	char *text = malloc(3 * (size_t)HAK_DOCUMENT_VALUES + 32), *at = text;

	at = stpcpy(at, "[{\"x\":[");
	for (unsigned i = 0; i < HAK_DOCUMENT_VALUES; i++)
		at = stpcpy(at, "{},");
	strcpy(at, "{}]}]");
	return text;
}

static void nonsense(struct document *d)
{
	static const char *const texts[] = {
		"",	"null", "1",	"\"\"", "[]x",		"{", "[null]", "[1]",
		"[[]]", "{}",	"[{}]", "NaN",	"{\"pid\":NaN}"
	};
	char *deep = nested(100000), *large = malloc((HAK_DOCUMENT_BYTES) + 2);

	memset(large, ' ', (HAK_DOCUMENT_BYTES) + 1);
	large[(HAK_DOCUMENT_BYTES) + 1] = '\0';
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		EXPECT(complains(d, run_on(d, texts[i], i % 2, texts[i]), "invalid answer: "),
		       "%s: believed %s", d->verb[0], texts[i]);
	EXPECT(complains(d, run_on(d, deep, false, "deep"), "invalid answer: "),
	       "%s: believed depth", d->verb[0]);
	EXPECT(complains(d, run_on(d, large, false, "large"), "invalid answer: "),
	       "%s: believed blanks", d->verb[0]);
	free(large);
	large = many_values();
	EXPECT(complains(d, run_on(d, large, false, "many values"), "values"),
	       "%s: believed so many values", d->verb[0]);
	free(deep);
	free(large);
}

static void of_another(struct document *d)
{
	struct json_object *o = json_tokener_parse(d->good);
	char *text;

	json_object_object_add(d->rows ? json_object_array_get_idx(o, 0) : o, "pid",
			       json_object_new_int(1));
	text = text_of(o);
	EXPECT(complains(d, run_on(d, text, false, "another's"), "another process"),
	       "%s: believed another's: %.300s", d->verb[0], said[1]);
	free(text);
}

static struct fake fake;

/* A segment and a connection to the bus belong to the process that made them. */
static void begin(void)
{
	fake_create(&fake);
	fake_seal(&fake);
	listed_pid = (uint32_t)getpid();
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	make_documents(&fake);
	serve();
}

static void documents_with_lies(void)
{
	begin();
	for (size_t i = 0; i < DOCUMENTS; i++) {
		struct document *d = &documents[i];
		struct json_object *whole = json_tokener_parse(d->good);

		for (int json = 0; json <= 1; json++)
			EXPECT(run_on(d, d->good, json, "truth") == 0, "%s: the truth: %s",
			       d->verb[0], said[1]);
		if (i == 0 || d->document != d[-1].document)
			lie_about_all(d, whole,
				      d->rows ? json_object_array_get_idx(whole, 0) : whole,
				      d->document);
		json_object_put(whole);
		misplaced_keys(d);
		other_versions(d);
		evil_strings(d);
		nonsense(d);
		of_another(d);
		d->text = d->good;
		for (size_t j = 0; j < DOCUMENTS; j++)
			documents[j].text = documents[j].good;
	}
	printf("%u lies were refused, %u accepted\n", refused, accepted);
	EXPECT(refused > 500 && accepted > 50, "too few lies");
}

static void lists_with_lies(void)
{
	begin();
	listed_twice = true;
	EXPECT(run(&documents[1], false) == 1 && strstr(said[1], "invalid answer"), "twice: %s",
	       said[1]);
	listed_twice = false;
	listed_pid = 0;
	EXPECT(run(&documents[1], false) == 1 && strstr(said[1], "invalid answer"), "pid 0: %s",
	       said[1]);
}

static const struct tcase cases[] = {
	{ "documents_with_lies", documents_with_lies, 120 },
	{ "lists_with_lies", lists_with_lies },
};

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(99, "HAKMEMCTL, or --hold");
	if (strcmp(argv[1], "--hold") == 0) {
		fake_create(&fake);
		prctl(PR_SET_NAME, "hdl\033[31m\n\342\200\256x");
		snprintf(fake.tunable[0].name, sizeof(fake.tunable[0].name), "%s", "a\033[31mb");
		snprintf(fake.header->version, sizeof(fake.header->version), "%s", "1\033[31m2");
		fake.tunable[0].type = HAK_TYPE_ENUM;
		snprintf(fake.tunable[0].values, sizeof(fake.tunable[0].values), "%s",
			 "x\033[31my|z");
		snprintf(fake.counter[0].name, sizeof(fake.counter[0].name), "%s", "c\033[31m\xff");
		fake_seal(&fake);
		printf("ready %d\n", (int)getpid());
		fflush(stdout);
		for (;;)
			pause();
	}
	hakmemctl = argv[1];
	return RUN(1, argv, cases);
}
