/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA IPC and exported physical memory and pools between guest processes of one tenant.  The driver's handles never
 * leave the host: the mediator keeps them and gives tokens for them
 * (vgpu_control.h), which are the handles that guests see.
 *
 * Its answers are waited for like those of the GPU: the request's reply is sent
 * when the loop finds one, and other requests go on meanwhile.
 */
#ifndef EXECUTOR_SHARE_H
#define EXECUTOR_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"
#include "latency.h"
#include "vgpu_control.h"

#define SHARES_WAITING_MAX 64

struct physical;
struct control_message;

/* A question to the mediator, and the request that it is for. */
struct share_wait {
	struct request request; /* without payload */
	struct latency_mark mark;
	uint32_t serial;
	uint32_t id; /* wire id of what is to be made; 0: nothing is */
	uint32_t flags;
};

struct shared_pool;

struct shares {
	struct share_wait waits[SHARES_WAITING_MAX]; /* in the order in which they were asked */
	size_t count;
	uint32_t serial;
	uint64_t asked_ns;    /* the oldest, or when the last answer came */
	uint64_t last_number; /* of physical memory that may be published */
	struct shared_pool *pools;
};

/*
 * Asks the mediator on behalf of the request: EXECUTE_DEFERRED, or why it cannot be asked. share_publish() is for a
 * reply that is a token, share_query() for what has the token 'token', of which 'id' is to be made.
 */
CUresult share_publish(struct executor *executor, const struct request *request, struct control_message *message);
CUresult share_query(struct executor *executor, const struct request *request, enum vgpu_share_kind kind,
		     const char *token, uint32_t flags, uint32_t id);
/* No answer: what 'message' names is published no more. False: the mediator cannot be told. */
bool share_tell_withdrawn(struct executor *executor, struct control_message *message);

/* Nobody can open the memory any more. False: the mediator cannot be told; it holds the memory. */
bool share_withdraw(struct executor *executor, const struct physical *physical);

/* Takes the mediator's answers; true: at least one request was replied to. */
bool share_poll(struct executor *executor);

#endif
