/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mirror's part in scheduling: to its executor it is the mediator (vgpu_schedule.h), with a permit page that says
 * what the relay sends. What the executor claims goes back when it rings its bell, and otherwise with the sign of life.
 * Kernels that take too long are noticed here, for only here the time is known at which they should have ended.
 */
#ifndef WORKER_MIRROR_SCHEDULE_H
#define WORKER_MIRROR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "vgpu_schedule.h"

struct mirror_schedule {
	struct vgpu_permit_page *permit;
	const struct vgpu_executor_schedule *claims;
	const struct vgpu_executor_counters *counters;
	int file;	/* of the permit page */
	int wake;	/* wakeup.h */
	int wake_other; /* the executor's end of it */
	int bell;	/* an eventfd, which the executor writes */
	int rung;	/* wakeup_listen() of it */
	bool is_due;	/* the executor has rung */
	struct link_schedule sent;
	bool is_over;	  /* there is no executor any more */
	uint64_t look_ms; /* when to look for kernels that take too long; 0: theirs is not limited */
};

/* 0, or -1 with errno; what was opened goes with the process. */
int mirror_schedule_open(struct mirror_schedule *schedule);
/* The executor has its end. */
void mirror_schedule_sent(struct mirror_schedule *schedule);
/* Once there is an executor. */
void mirror_schedule_begin(struct mirror_schedule *schedule, const void *counters);

/* The executor has ended: whatever permit comes, it has nothing to do. */
void mirror_schedule_end(struct mirror_schedule *schedule);

/* False: it is no permit. */
bool mirror_schedule_take(struct mirror_schedule *schedule, const struct link_view *view);

/* The executor has rung its bell. */
void mirror_schedule_ring(struct mirror_schedule *schedule);

/*
 * Sends what the executor claims if it is time to and there is room. 'arrived': bytes of records that have come;
 * 'is_alive': it is time for a sign of life. False: it claims what there cannot be, and that is not sent.
 */
bool mirror_schedule_send(struct mirror_schedule *schedule, struct link *link, uint64_t arrived, bool is_alive);

/* How long the mirror may sleep, of at most timeout_ms. */
int mirror_schedule_timeout(const struct mirror_schedule *schedule, int timeout_ms);

#endif
