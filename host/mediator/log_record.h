/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the log as fields: for the journal, and as JSON. The fields are taken from the line's beginning, which is
 * always written here and never by a peer: "[EVENT] vm_id=N uid=N ...".
 */
#ifndef MEDIATOR_LOG_RECORD_H
#define MEDIATOR_LOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Every character of a line may need two, and names and numbers some more. */
#define LOG_RECORD_BYTES 4000

struct log_record {
	const char *text; /* printable ASCII */
	const char *level;
	int priority;	/* of syslog(3) */
	char event[16]; /* "channel" of "[CHANNEL]"; "general": the line names none */
	bool has_vm;
	bool has_user;
	uint32_t vm_id;
	uint32_t user; /* of local programs */
	char pool;     /* 0: it is not known */
};

/* Sets the fields that the text names. */
void log_record_parse(struct log_record *record, const char *text);

/* One object, without a newline. The length, which is below LOG_RECORD_BYTES. */
size_t log_record_json(const struct log_record *record, const char *time, char line[LOG_RECORD_BYTES]);

/* Sends it to the journal, by its native protocol, without waiting. False: it was not taken. */
bool log_record_send(const struct log_record *record, int socket);

#endif
