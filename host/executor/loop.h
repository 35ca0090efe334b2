/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's main loop: records, replies, waits.
 *
 * How it waits.  After the last record it spins for a while, because the next
 * one of a busy guest comes within microseconds and a wake-up costs as much as
 * a kernel; how long depends on how often that was worth it, and on whether the
 * machine has a processor to spare.  Then it sleeps until the doorbell rings.
 * While the GPU is waited for, it looks at it in pauses that grow with the time
 * already waited, so that what is lost is a small part of what was waited for.
 */
#ifndef EXECUTOR_LOOP_H
#define EXECUTOR_LOOP_H

struct executor;

/* Returns when executor->fault is set. */
void loop_run(struct executor *executor);

#endif
