/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log_record.h"

/* Below PIPE_BUF, as LOG_RECORD_BYTES is, so that a line goes into a pipe whole or not at all. */
#define LINE_BYTES_MAX 1024
/* Beside a time and a level. */
#define LINE_TEXT_MAX (LINE_BYTES_MAX - 48)

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static struct {
	char *path; /* NULL: standard error */
	int file;
	bool owned; /* 'file' is to be closed */
	bool is_socket;
	bool is_journal;
	int journal; /* a socket for it; -1: none */
	bool is_json;
	log_pool_finder *pool_find; /* NULL: none */
	void *pool_owner;
	bool line_is_cut; /* a write ended inside a line */
	enum log_level level;
	uint64_t lost;
	uint64_t lost_reported;
} the_log = {.file = STDERR_FILENO, .journal = -1, .level = LOG_LEVEL_INFO};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void file_close(void)
{
	if (the_log.owned)
		close(the_log.file);
	the_log.file = STDERR_FILENO;
	the_log.owned = false;
	the_log.is_socket = false;
	the_log.is_journal = false;
	if (the_log.journal >= 0)
		close(the_log.journal);
	the_log.journal = -1;
}

/* systemd says which file of ours is the journal, for it may have been replaced since (systemd.exec(5)). */
static bool is_journal(const struct stat *status)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device;
	unsigned long long inode;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && device == status->st_dev &&
	       inode == status->st_ino;
}

/*
 * Standard error may be a pipe or a terminal whose reader has stopped.  O_NONBLOCK belongs to the
 * open file, which is shared with whoever started us: so a file description of our own is opened.
 * A socket (systemd's journal) cannot be opened again, but takes MSG_DONTWAIT.
 */
static void standard_error_use(void)
{
	struct stat status;
	int file;

	file_close();
	if (fstat(STDERR_FILENO, &status) < 0)
		return;
	the_log.is_journal = is_journal(&status);
	if (the_log.is_journal)
		the_log.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (S_ISSOCK(status.st_mode)) {
		the_log.is_socket = true;
	} else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
		file = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (file >= 0) {
			the_log.file = file;
			the_log.owned = true;
		}
	}
}

static int file_use(const char *path)
{
	int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);

	if (file < 0)
		return -1;
	file_close();
	the_log.file = file;
	the_log.owned = true;
	return 0;
}

int log_open(const char *path)
{
	char *copy = NULL;

	if (!path) {
		standard_error_use();
	} else {
		copy = strdup(path);
		if (!copy || file_use(path) < 0) {
			int error = errno;

			free(copy);
			standard_error_use();
			errno = error;
			return -1;
		}
	}
	free(the_log.path);
	the_log.path = copy;
	return 0;
}

void log_forked(void)
{
	the_log.owned = false;
	the_log.journal = -1;
	standard_error_use();
}

int log_reopen(void)
{
	return the_log.path ? file_use(the_log.path) : 0;
}

void log_close(void)
{
	file_close();
	free(the_log.path);
	the_log.path = NULL;
}

void log_level_set(enum log_level level)
{
	the_log.level = level;
}

void log_json_set(bool is_json)
{
	the_log.is_json = is_json;
}

void log_pool_finder_set(log_pool_finder *find, void *owner)
{
	the_log.pool_find = find;
	the_log.pool_owner = owner;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

static bool line_write(const char *line, size_t bytes)
{
	ssize_t written;

	do
		written = the_log.is_socket ? send(the_log.file, line, bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
					    : write(the_log.file, line, bytes);
	while (written < 0 && errno == EINTR);
	if (written > 0)
		the_log.line_is_cut = (size_t)written < bytes;
	return written == (ssize_t)bytes;
}

/* Appends 'text' to the line as printable ASCII; returns the line's new length. */
static size_t text_append(char *line, size_t at, size_t limit, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (const unsigned char *from = (const unsigned char *)text; *from; from++) {
		if (*from >= 0x20 && *from < 0x7f) {
			if (at + 1 > limit)
				break;
			line[at++] = (char)*from;
		} else {
			if (at + 4 > limit)
				break;
			line[at++] = '\\';
			line[at++] = 'x';
			line[at++] = digits[*from >> 4];
			line[at++] = digits[*from & 15];
		}
	}
	return at;
}

/* A line for people: with the priority before it for the journal (sd-daemon(3)), else with the time. */
static size_t line_make(const struct log_record *record, const char *time, char *line, size_t bytes)
{
	size_t at = the_log.is_journal ? (size_t)snprintf(line, bytes, "<%d>", record->priority)
				       : (size_t)snprintf(line, bytes, "%s %s ", time, record->level);
	size_t length = strnlen(record->text, bytes - at);

	memcpy(line + at, record->text, length);
	return at + length;
}

static bool message_write(enum log_level level, const char *text)
{
	/* Of syslog(3). */
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = 3, [LOG_LEVEL_WARNING] = 4, [LOG_LEVEL_INFO] = 6, [LOG_LEVEL_DEBUG] = 7};
	struct log_record record = {.level = level_names[level], .priority = priorities[level]};
	char line[LOG_RECORD_BYTES + 2];
	char ascii[LINE_BYTES_MAX];
	char written_at[32];
	struct timespec now;
	struct tm parts;
	size_t at = 0;

	ascii[text_append(ascii, 0, LINE_TEXT_MAX, text)] = '\0';
	log_record_parse(&record, ascii);
	if (the_log.pool_find && (record.has_vm || record.has_user))
		record.pool = the_log.pool_find(the_log.pool_owner, record.has_vm,
						record.has_vm ? record.vm_id : record.user);
	/* Where the journal does not take it, it takes lines. */
	if (the_log.journal >= 0 && log_record_send(&record, the_log.journal))
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	at = strftime(written_at, sizeof(written_at), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(written_at + at, sizeof(written_at) - at, ".%03ldZ", now.tv_nsec / 1000000);
	at = 0;
	if (the_log.line_is_cut)
		line[at++] = '\n';
	if (the_log.is_json && !the_log.is_journal)
		at += log_record_json(&record, written_at, line + at);
	else
		at += line_make(&record, written_at, line + at, LINE_BYTES_MAX - 2);
	line[at++] = '\n';
	return line_write(line, at);
}

static void message_log(enum log_level level, const char *format, va_list arguments)
{
	char text[LINE_BYTES_MAX];

	if (level > the_log.level)
		return;
	if (the_log.lost != the_log.lost_reported) {
		snprintf(text, sizeof(text), "[LOG] %llu lines were lost: the log could not be written",
			 (unsigned long long)(the_log.lost - the_log.lost_reported));
		if (message_write(LOG_LEVEL_WARNING, text))
			the_log.lost_reported = the_log.lost;
	}
	vsnprintf(text, sizeof(text), format, arguments);
	if (!message_write(level, text))
		the_log.lost++;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message_log(level, format, arguments);
	va_end(arguments);
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	double now = seconds_now();
	va_list arguments;

	if (level > the_log.level)
		return;
	if (limit->updated_seconds > 0)
		limit->tokens += (now - limit->updated_seconds) * limit->per_second;
	if (limit->tokens > limit->burst)
		limit->tokens = limit->burst;
	limit->updated_seconds = now;
	if (limit->tokens < 1) {
		limit->suppressed++;
		return;
	}
	limit->tokens -= 1;
	if (limit->suppressed > 0) {
		log_write(level, "[LOG] %llu lines like the next one were left out",
			  (unsigned long long)limit->suppressed);
		limit->suppressed = 0;
	}
	va_start(arguments, format);
	message_log(level, format, arguments);
	va_end(arguments);
}

uint64_t log_lost_count(void)
{
	return the_log.lost;
}

uint64_t log_lost_reported_count(void)
{
	return the_log.lost_reported;
}

void log_text_copy(char *target, size_t target_bytes, const char *source, size_t source_bytes)
{
	size_t at = 0;

	while (at + 1 < target_bytes && at < source_bytes && source[at]) {
		unsigned char character = (unsigned char)source[at];

		target[at++] = character >= 0x20 && character < 0x7f && character != '"' && character != '\\'
				       ? (char)character
				       : '?';
	}
	target[at] = '\0';
}
