/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies and events on their way to the guest.
 *
 * What does not fit into the reply ring waits in order in a backlog.  While
 * there is one, the loop takes no more commands, so a guest that does not read
 * its replies stops itself; pending waits and device printf can still add to
 * the backlog, up to REPLY_BACKLOG_BYTES_MAX, beyond which the channel ends.
 */
#ifndef EXECUTOR_REPLY_H
#define EXECUTOR_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"
#include "log.h"

#define REPLY_BACKLOG_BYTES_MAX (64u << 20)

struct backlog_record;

struct replies {
	struct backlog_record *first;
	struct backlog_record **last; /* where the next one is linked; NULL before the first use */
	size_t backlog_bytes;
	struct log_limit failure_limit; /* of failures in the log */
};

/* Sends the reply of 'request'; 'payload' is copied. */
void reply_send(struct executor *executor, const struct request *request, CUresult result, const void *payload,
		size_t payload_bytes);

/*
 * A request has failed: counted, written into the log, kept for the next answer if the guest does not wait for this
 * one. The reply itself is still to be sent.
 */
void reply_failure_note(struct executor *executor, const struct request *request, CUresult result);

/* Sends an event, whose payload may be of any length up to a record's. */
void reply_event_send(struct executor *executor, uint16_t opcode, const void *payload, size_t payload_bytes);

/* Moves the backlog into the ring as far as it goes; true: nothing is left. */
bool reply_backlog_flush(struct executor *executor);

/*
 * Before sleeping with a backlog: asks the guest to notify when it has made room. False: there is room
 * after all.
 */
bool reply_backlog_prepare_wait(struct executor *executor);

#endif
