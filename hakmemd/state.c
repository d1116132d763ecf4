/* SPDX-License-Identifier: MIT */
/*
 * What survives a restart: one memfd in systemd's descriptor store, and nothing else; above all no
 * descriptor of a segment, whose lock would say that somebody still pages out.
 *
 * The memfd holds two slots. A save writes the older one and makes it valid by its head last, so
 * that a daemon that is killed half-way, by the watchdog for instance, leaves the other one. Text,
 * one record a line, words separated by tabs and escaped:
 *	returned BYTES
 *	policy NAME				in force
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "control/escape.h"
#include "hakmemd/journal.h"
#include "hakmemd/manager.h"

#define FD_NAME		"hakmem-state"
#define MAGIC		"HAKSTTE1"
#define SLOT_BYTES	(1u << 18)

struct head {
	char magic[8];
	uint64_t number;	/* the higher valid one counts */
	uint64_t bytes, sum;
};

struct hak_state {
	int fd;
	uint64_t number;
};

/* -- slots ------------------------------------------------------------------------------------- */
static uint64_t sum_of(const char *text, size_t bytes)
{
	uint64_t sum = 14695981039346656037u;	/* FNV-1a */

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
	return sum;
}

static char *read_slot(int fd, unsigned slot, uint64_t *ret_number)
{
	off_t at = (off_t)slot * SLOT_BYTES;
	struct head head;
	char *text;

	if (pread(fd, &head, sizeof(head), at) != (ssize_t)sizeof(head) ||
	    memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 ||
	    head.bytes > SLOT_BYTES - sizeof(head))
		return NULL;
	text = malloc(head.bytes + 1);
	if (!text || pread(fd, text, head.bytes, at + (off_t)sizeof(head)) != (ssize_t)head.bytes ||
	    sum_of(text, head.bytes) != head.sum) {
		free(text);
		return NULL;
	}
	text[head.bytes] = '\0';
	*ret_number = head.number;
	return text;
}

static void write_slot(struct hak_state *state, const char *text, size_t bytes)
{
	off_t at = (off_t)((state->number + 1) % 2) * SLOT_BYTES;
	struct head head = { .number = state->number + 1, .bytes = bytes,
			     .sum = sum_of(text, bytes) };
	const struct head none = { .bytes = 0 };

	if (bytes > SLOT_BYTES - sizeof(head) ||
	    pwrite(state->fd, &none, sizeof(none), at) < 0 ||
	    pwrite(state->fd, text, bytes, at + (off_t)sizeof(head)) != (ssize_t)bytes)
		return;
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	if (pwrite(state->fd, &head, sizeof(head), at) == (ssize_t)sizeof(head))
		state->number++;
}

/* -- text -------------------------------------------------------------------------------------- */
static void put_word(FILE *f, const char *word)
{
	char shown[4 * HAK_CGROUP_BYTES];

	hak_escape(word, shown, sizeof(shown));
	fprintf(f, "\t%s", shown);
}

static void unescape(char *text)
{
	char *to = text;
	unsigned byte;

	for (; *text; to++) {
		if (text[0] == '\\' && text[1] == '\\') {
			*to = '\\';
			text += 2;
		} else if (sscanf(text, "\\x%2x", &byte) == 1) {
			*to = (char)byte;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

static char *write_text(struct hak_manager *m, size_t *ret_bytes)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_bytes);

	if (!f)
		return NULL;
	fprintf(f, "returned\t%" PRIu64 "\n", m->returned_bytes);
	for (size_t i = 0; i < m->policies->n; i++) {
		fputs("policy", f);
		put_word(f, m->policies->policy[i]->name);
		fputc('\n', f);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* -- taking up --------------------------------------------------------------------------------- */
static void take_policy(struct hak_manager *m, char *name)
{
	char shown[4 * HAK_PATH_BYTES];

	if (!name)
		return;
	unescape(name);
	for (size_t i = 0; i < m->policies->n; i++)
		if (strcmp(m->policies->policy[i]->name, name) == 0)
			return;
	hak_escape(name, shown, sizeof(shown));
	hak_log(LOG_NOTICE, "policy %s went while no hakmemd ran; what it set is taken back",
		shown);
}

static void take_text(struct hak_manager *m, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char *kind = strsep(&line, "\t");

		if (!line)
			continue;
		if (strcmp(kind, "returned") == 0)
			m->returned_bytes += strtoull(line, NULL, 10);
		else if (strcmp(kind, "policy") == 0)
			take_policy(m, line);
	}
}

static void take_up(struct hak_manager *m)
{
	uint64_t number[2] = { 0 };
	char *slot[2];
	unsigned best;

	for (unsigned i = 0; i < 2; i++)
		slot[i] = read_slot(m->state->fd, i, &number[i]);
	best = slot[1] && (!slot[0] || number[1] > number[0]);
	m->state->number = number[best];
	if (slot[best])
		take_text(m, slot[best]);
	free(slot[0]);
	free(slot[1]);
}

/* -- life -------------------------------------------------------------------------------------- */
/* Ours among those that systemd kept; the others are other parts'. -1 if there is none. */
static int stored_fd(void)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(false, &names), fd = -1;

	for (int i = 0; i < n; i++) {
		struct stat st;

		if (fd < 0 && strcmp(names[i], FD_NAME) == 0 &&
		    fstat(SD_LISTEN_FDS_START + i, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_size == 2 * (off_t)SLOT_BYTES)
			fd = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	free(names);
	return fd;
}

int hak_state_start(struct hak_manager *m)
{
	struct hak_state *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	m->state = state;
	state->fd = stored_fd();
	if (state->fd >= 0) {
		take_up(m);
		return 0;
	}
	state->fd = memfd_create(FD_NAME, MFD_CLOEXEC);
	if (state->fd < 0 || ftruncate(state->fd, 2 * (off_t)SLOT_BYTES) < 0)
		return -errno;
	sd_pid_notify_with_fds(0, false, "FDSTORE=1\nFDNAME=" FD_NAME, &state->fd, 1);
	m->state_stale = true;
	return 0;
}

void hak_state_save(struct hak_manager *m)
{
	size_t bytes;
	char *text;

	if (!m->state || !m->state_stale)
		return;
	m->state_stale = false;
	text = write_text(m, &bytes);
	if (text)
		write_slot(m->state, text, bytes);
	free(text);
}

void hak_state_stop(struct hak_manager *m)
{
	if (!m->state)
		return;
	m->state_stale = true;
	hak_state_save(m);
	if (m->state->fd >= 0)
		close(m->state->fd);
	free(m->state);
	m->state = NULL;
}
