/* SPDX-License-Identifier: Apache-2.0 */
/* How long to spin and how long to sleep (loop.h says why). */
#ifndef EXECUTOR_IDLE_H
#define EXECUTOR_IDLE_H

#include <stdbool.h>
#include <stdint.h>

enum idle_reason {
	IDLE_FOR_RECORDS, /* the guest may send one at any time */
	IDLE_FOR_GPU,
	IDLE_FOR_OTHERS, /* for a permit, or for the guest to take its replies */
};

struct idle {
	unsigned processors;
	bool gpu_is_software; /* spinning would take a processor from it */
	/* As many runnable threads as processors, as half of them. */
	bool is_busy, is_half_busy;
	uint64_t looked_ns; /* when that was found out */
	uint64_t since_ns;  /* nothing to do since; 0: there was */
	uint64_t spin_long_ns;
	uint64_t spin_ns; /* for records */
	/* In this idle time: */
	bool has_slept;
	bool has_waited; /* for something else than records: it says nothing of when these come */
};

void idle_open(struct idle *idle, bool gpu_is_software);

/* There was something to do. */
void idle_end(struct idle *idle);

/* Nothing to do: true, look again at once; false: sleep. */
bool idle_spin(struct idle *idle, enum idle_reason reason);

/* Sleeps until then, or for a while, whoever rings: nothing is to be done before. */
void idle_nap(struct idle *idle, uint64_t until_ns);

/* 1: the doorbell or the wake eventfd (-1: none) rang; 0: time to look again; -1: errno. */
int idle_sleep(struct idle *idle, int doorbell, int wake, enum idle_reason reason);

#endif
