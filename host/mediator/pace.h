/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a VM's executors are started.  A guest that opens and closes channels
 * in a loop would have the host do little but start processes; so beyond a burst
 * a start is delayed, never refused.
 */
#ifndef MEDIATOR_PACE_H
#define MEDIATOR_PACE_H

#define PACE_STARTS_AT_ONCE    64 /* as many as a VM has channels */
#define PACE_STARTS_PER_SECOND 20

struct pace {
	double tokens;
	double updated_seconds; /* CLOCK_MONOTONIC */
};

void pace_init(struct pace *pace);

/* 0: start now, which is counted; else the microseconds after which to ask again. */
unsigned pace_take(struct pace *pace);

#endif
