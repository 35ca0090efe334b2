/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CUDA IPC and exported physical memory between guest processes of one tenant.  The driver's handles never
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

/* A question to the mediator, and the request that it is for. */
struct share_wait {
	struct request request; /* without payload */
	struct latency_mark mark;
	uint32_t serial;
	uint32_t id; /* wire id of what is to be made; 0: nothing is */
	uint32_t flags;
};

struct shares {
	struct share_wait waits[SHARES_WAITING_MAX]; /* in the order in which they were asked */
	size_t count;
	uint32_t serial;
	uint64_t asked_ns;    /* the oldest, or when the last answer came */
	uint64_t last_number; /* of physical memory that was published */
};

/* Nobody can open the memory any more. False: the mediator cannot be told; it holds the memory. */
bool share_withdraw(struct executor *executor, const struct physical *physical);

/* Takes the mediator's answers; true: at least one request was replied to. */
bool share_poll(struct executor *executor);

#endif
