/* SPDX-License-Identifier: MIT */
/* A text that survives the daemon, see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "hakmemd/journal.h"
#include "hakmemd/store.h"

#define MAGIC	   "HAKSTOR1"
#define SLOT_BYTES (1u << 28) /* a memfd is sparse: only what is written takes memory */

struct head {
	char magic[8];
	uint64_t number; /* the higher valid number counts */
	uint64_t bytes, sum;
};

struct hak_store {
	int fd;
	uint64_t number; /* of the slot written last */
	bool failed;	 /* the last save failed, and that was reported */
};

static off_t slot_at(uint64_t number)
{
	return (off_t)(number % 2) * SLOT_BYTES;
}

static uint64_t sum_of(const char *text, size_t bytes)
{
	uint64_t sum = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ (unsigned char)text[i]) * 1099511628211u;
	return sum;
}

static int write_at(int fd, const void *from, size_t bytes, off_t at)
{
	const char *text = from;

	while (bytes) {
		ssize_t n = pwrite(fd, text, bytes, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text += n, at += n, bytes -= (size_t)n;
	}
	return 0;
}

/* Returns the text of the slot; NULL if the slot has no complete text. */
static char *read_slot(int fd, unsigned slot, uint64_t *ret_number)
{
	off_t at = slot_at(slot);
	struct head head;
	char *text;

	if (pread(fd, &head, sizeof(head), at) != (ssize_t)sizeof(head) ||
	    memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.number % 2 != slot ||
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

static char *read_newest(struct hak_store *store)
{
	uint64_t number[2] = { 0 };
	char *text[2];
	unsigned best;

	for (unsigned i = 0; i < 2; i++)
		text[i] = read_slot(store->fd, i, &number[i]);
	best = text[1] && (!text[0] || number[1] > number[0]);
	store->number = number[best];
	free(text[!best]);
	return text[best];
}

/* The daemon's descriptor among those that systemd kept; -1 if there is none. */
static int stored_fd(const char *name)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(false, &names), fd = -1;

	for (int i = 0; i < n; i++) {
		struct stat st;

		if (fd < 0 && strcmp(names[i], name) == 0 &&
		    fstat(SD_LISTEN_FDS_START + i, &st) == 0 && S_ISREG(st.st_mode))
			fd = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	free(names);
	return fd;
}

int hak_store_open(const char *name, struct hak_store **ret, char **ret_text)
{
	struct hak_store *store = calloc(1, sizeof(*store));
	char *text = NULL, *message;

	if (!store)
		return -ENOMEM;
	store->fd = stored_fd(name);
	if (store->fd >= 0) {
		text = read_newest(store);
	} else {
		store->fd = memfd_create(name, MFD_CLOEXEC);
		if (store->fd < 0) {
			free(store);
			return -errno;
		}
		if (asprintf(&message, "FDSTORE=1\nFDNAME=%s", name) >= 0) {
			sd_pid_notify_with_fds(0, false, message, &store->fd, 1);
			free(message);
		}
	}
	*ret = store;
	*ret_text = text;
	return 0;
}

/* Reports a failure once, until a save succeeds again. */
static int tell(struct hak_store *store, int r)
{
	if (r < 0 && !store->failed)
		hak_log(LOG_WARNING,
			"a restart would restore the previous state: "
			"cannot store more: %s",
			strerror(-r));
	store->failed = r < 0;
	return r;
}

/* Frees the memory of a longer text that lies after this one. Where the kernel cannot do that, the
 * memory stays. */
static void punch(int fd, off_t from, off_t to)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from);
}

int hak_store_save(struct hak_store *store, void (*write)(FILE *to, void *arg), void *arg)
{
	struct head head = { .number = store->number + 1 };
	const struct head none = { .bytes = 0 };
	off_t at = slot_at(head.number);
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	int r;

	if (!to)
		return tell(store, -ENOMEM);
	write(to, arg);
	if (ferror(to) | (fclose(to) != 0) || bytes > SLOT_BYTES - sizeof(head)) {
		free(text);
		return tell(store, -ENOMEM);
	}
	head.bytes = bytes;
	head.sum = sum_of(text, bytes);
	r = write_at(store->fd, &none, sizeof(none), at);
	if (r == 0)
		r = write_at(store->fd, text, bytes, at + (off_t)sizeof(head));
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	if (r == 0)
		r = write_at(store->fd, &head, sizeof(head), at);
	if (r == 0)
		store->number++;
	if (r == 0)
		punch(store->fd, at + (off_t)(sizeof(head) + bytes), at + SLOT_BYTES);
	free(text);
	return tell(store, r);
}

void hak_store_close(struct hak_store *store)
{
	if (!store)
		return;
	close(store->fd);
	free(store);
}
