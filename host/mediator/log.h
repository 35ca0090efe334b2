/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mediator's log: one line a call, with a time stamp, printable ASCII only
 * (everything else is written as \xNN, so that no peer's text can start a line
 * of its own).
 *
 * Where standard error is systemd's journal, the journal gets each line as fields (log_record.h), or, if it does not
 * take them, with the level as a prefix that it takes as the line's priority, and no time stamp, for the journal has
 * its own.
 *
 * Writing never blocks and never fails for the caller: a line that does not go
 * out (full disk, a reader that does not read) is counted, and the count is
 * written when the log works again.  Used from the loop's thread only.
 */
#ifndef MEDIATOR_LOG_H
#define MEDIATOR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* A source that may not fill the log: 'burst' lines at once, 'per_second' lines in the long run. */
struct log_limit {
	double per_second;
	double burst;
	double tokens; /* of the last update; starts full */
	double updated_seconds;
	uint64_t suppressed; /* lines dropped since the last one that was written */
};

#define LOG_LIMIT(lines_per_second, lines_at_once)                                                    \
	{                                                                                             \
		.per_second = (lines_per_second), .burst = (lines_at_once), .tokens = (lines_at_once) \
	}

/* What one peer causes: reports about it, and what its executors write. */
struct log_limits {
	struct log_limit events;
	struct log_limit output;
};

/* Opens 'path' for appending, or standard error where it is NULL or cannot be opened (-1 with errno then). */
int log_open(const char *path);

/*
 * In a child that has none of its parent's descriptors but standard error (starter.h): the log of before is not closed,
 * for its numbers are other files' there.
 */
void log_forked(void);

/* Opens the same path again, after a rotation. */
int log_reopen(void);

void log_close(void);

/* Lines that do not go to the journal are JSON. */
void log_json_set(bool is_json);

/* The pool of a VM, or of a local user, of which a line tells; 0: it is not known. NULL: nobody knows. */
typedef char log_pool_finder(void *owner, bool is_vm, uint32_t id);
void log_pool_finder_set(log_pool_finder *find, void *owner);

void log_level_set(enum log_level level);

/* 0, or -1 for an unknown name. */
int log_level_parse(const char *name, enum log_level *ret_level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same within a limit; says how many lines were left out as soon as it may write again. */
void log_write_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...)	 log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Lines that did not go out since the start, and those of them that the log has told of since. */
uint64_t log_lost_count(void);
uint64_t log_lost_reported_count(void);

/*
 * Copies a peer's text for use inside quotes: printable ASCII, without quotes and backslashes, cut
 * to fit. 'source' need not be terminated within 'source_bytes'.
 */
void log_text_copy(char *target, size_t target_bytes, const char *source, size_t source_bytes);

#endif
