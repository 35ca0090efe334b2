/* SPDX-License-Identifier: Apache-2.0 */
/* How long to spin and how long to sleep (loop.h says why). */
#ifndef EXECUTOR_IDLE_H
#define EXECUTOR_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct idle {
	unsigned processors;
	bool gpu_is_software; /* spinning would take a processor from it */
	bool is_busy;	      /* more runnable threads than processors */
	uint64_t looked_ns;   /* when that was found out */
	uint64_t since_ns;    /* nothing to do since; 0: there was */
	uint64_t spin_most_ns;
	uint64_t spin_ns; /* for records; most: after a record that came within that time */
	/* In this idle time: */
	bool has_slept;
	bool has_waited; /* for the GPU or until a given time: it says nothing of when records come */
};

void idle_open(struct idle *idle, bool gpu_is_software);

/* There was something to do. */
void idle_end(struct idle *idle);

/* Nothing to do: true, look again at once; false: sleep. */
bool idle_spin(struct idle *idle, bool waits_for_gpu);

/* Sleeps until then, or for a while, whoever rings: nothing is to be done before. */
void idle_nap(struct idle *idle, uint64_t until_ns);

/* 1: the doorbell or the wake eventfd (-1: none) rang; 0: time to look again; -1: errno. */
int idle_sleep(struct idle *idle, int doorbell, int wake, bool waits_for_gpu);

#endif
