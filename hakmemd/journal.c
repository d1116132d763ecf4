/* SPDX-License-Identifier: MIT */
/*
 * The journal or stderr, see journal.h. No call waits for the journal: where its socket is full the
 * message is lost, as with all of libsystemd's.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "control/escape.h"
#include "hakmemd/journal.h"

#define MESSAGE_BYTES 1024
#define FIELD_BYTES   1024
#define FIELDS_MAX    24

static int highest = LOG_INFO;

void hak_log_level(int level)
{
	highest = level;
}

/* $JOURNAL_STREAM names the device and inode of the stderr that the journal reads. */
static bool to_journal(void)
{
	static int known = -1;
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (known < 0)
		known = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
			fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	return known;
}

/* FIELD=value, escaped. */
static void fill(struct iovec *iov, char *buf, const char *name, const char *value)
{
	size_t n = (size_t)snprintf(buf, FIELD_BYTES, "%s=", name);

	hak_escape(value, buf + n, FIELD_BYTES - n);
	*iov = (struct iovec){ buf, strlen(buf) };
}

static void send_journal(int level, const char *message_id, const struct hak_field *fields,
			 size_t n, const char *text)
{
	char(*buf)[FIELD_BYTES] = malloc(FIELDS_MAX * sizeof(*buf));
	char message[MESSAGE_BYTES + 16], priority[16];
	struct iovec iov[FIELDS_MAX + 2];
	int used = 0, bufs = 0;

	if (!buf)
		return;
	snprintf(message, sizeof(message), "MESSAGE=%s", text);
	snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
	iov[used++] = (struct iovec){ message, strlen(message) };
	iov[used++] = (struct iovec){ priority, strlen(priority) };
	if (message_id)
		fill(&iov[used++], buf[bufs++], "MESSAGE_ID", message_id);
	for (size_t i = 0; i < n && bufs < FIELDS_MAX; i++)
		if (fields[i].value)
			fill(&iov[used++], buf[bufs++], fields[i].name, fields[i].value);
	sd_journal_sendv(iov, used);
	free(buf);
}

__attribute__((format(printf, 5, 0))) static void say(int level, const char *message_id,
						      const struct hak_field *fields, size_t n,
						      const char *format, va_list args)
{
	char raw[MESSAGE_BYTES], text[MESSAGE_BYTES];

	if (level > highest)
		return;
	vsnprintf(raw, sizeof(raw), format, args);
	hak_escape(raw, text, sizeof(text));
	if (to_journal())
		send_journal(level, message_id, fields, n, text);
	else
		fprintf(stderr, "hakmemd: %s\n", text);
}

void hak_log(int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(level, NULL, NULL, 0, format, args);
	va_end(args);
}

int hak_log_error(int error, const char *what)
{
	hak_log(LOG_ERR, "%s: %s", what, strerror(-error));
	return error;
}

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(level, message_id, fields, n, format, args);
	va_end(args);
}
