/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long calls take: counted by class for the mediator (struct vgpu_latency), and written into the log where it is
 * too long.
 *
 * A call that the guest waits for is measured until it is answered, a wait for the GPU included. One that it does not
 * wait for is measured as long as it keeps this process busy. Of those that come by the million (launches, copies,
 * events) only some are looked at, and stand for the others: reading the clock twice is a fifth of a launch.
 *
 * Too long is only what keeps this process busy, for meanwhile the guest's other threads wait too. A wait for the
 * guest's own kernels (cuStreamSynchronize, the answer of a copy) does not.
 */
#ifndef EXECUTOR_LATENCY_H
#define EXECUTOR_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "burst.h"
#include "execute.h"
#include "log.h"

/* The first ones are measured all, because the first launch of a kernel may load it; a prime, for programs repeat. */
#define LATENCY_FIRST 64
#define LATENCY_EACH  61

struct latency_mark {
	uint64_t began_ns;
	uint32_t weight; /* calls that this one stands for */
};

struct latency {
	struct latency_mark mark; /* of the request being executed, where it is measured */
	uint32_t first_left;	  /* that are still measured all */
	uint32_t skip;		  /* not measured before the next one */
	struct log_limit slow_limit;
	uint64_t slow_left_out; /* of the log */
};

void latency_open(struct latency *latency);

/* Calls that this one stands for; 0: it is not measured. */
uint32_t latency_weigh(struct latency *latency, const struct request *request);

/* Before a request is executed; true: it is measured. */
static inline bool latency_begin(struct latency *latency, const struct request *request)
{
	if (request->opcode == VGPU_OPCODE_LAUNCH && latency->skip && !(request->flags & VGPU_FLAG_REPLY)) {
		latency->skip--;
		return false;
	}
	latency->mark.weight = latency_weigh(latency, request);
	if (!latency->mark.weight)
		return false;
	latency->mark.began_ns = schedule_now();
	return true;
}

/* After one that is measured was executed, and answered unless the result says that it will be later. */
void latency_end(struct executor *executor, const struct request *request, CUresult result);

/* After it was answered later: 'mark' was the executor's at its beginning. */
void latency_end_deferred(struct executor *executor, const struct request *request, const struct latency_mark *mark);

#endif
