/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators ask of the mediator: requests and answers as JSON text.
 *
 *   {"command": "set-weight", "arguments": {"vm": "3", "weight": "30"}}
 *   {"ok": true, "result": {...}}
 *   {"ok": false, "code": "not-found", "error": "a sentence"}
 *
 * A value is a string, or a whole number where it is one. The result is an object, or a list of objects that have
 * the same members in the same order. The other files that begin with admin_ have the commands.
 */
#ifndef MEDIATOR_ADMIN_H
#define MEDIATOR_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

/* Codes of errors; vgpu-admin makes its exit codes of them. */
#define ADMIN_FAILED	"failed"
#define ADMIN_INVALID	"invalid"
#define ADMIN_DENIED	"denied"
#define ADMIN_NOT_FOUND "not-found"
#define ADMIN_CONFLICT	"conflict"

struct log_limit;
struct mediator;

/* Who asks. */
struct admin_peer {
	const char *who; /* for the log */
	bool may_change; /* else a reader, who is denied what changes anything */
	struct log_limit *log;
};

/* Carries out what 'line' asks for. The answer, to be freed; NULL: out of memory. */
char *admin_request_take(struct mediator *mediator, const struct admin_peer *peer, const char *line, size_t bytes);

/* The answer to whom nothing is done for. */
char *admin_refusal(const char *code, const char *text);

#endif
