/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a process stands still: its main thread is stopped (SIGSTOP, a debugger) or has ended while others go on. One
 * that is at work, waits, or is inside the driver for however long does not, so nothing that an executor does by itself
 * is taken for it: a compilation that takes minutes, a wait for a kernel or for a page that does not come.
 */
#ifndef MEDIATOR_STANDSTILL_H
#define MEDIATOR_STANDSTILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How often one that is to stand still for no longer than 'limit_ms' is looked at, in milliseconds. */
#define STANDSTILL_LOOK_MS(limit_ms) ((limit_ms) < 4000 ? (limit_ms) / 5 + 50 : 1000)

/* What was seen of a process; all zero before the first look. */
struct standstill {
	uint64_t since_ms; /* 0: it did not stand still */
	uint64_t switches; /* how often its main thread had been taken off a processor then */
};

/*
 * Looks at a process that is not reaped yet; 'now_ms' is of a monotonic clock, and not 0. For how long it has stood
 * still without having run in between; 0: it does not, or cannot be seen.
 */
uint64_t standstill_look(struct standstill *standstill, pid_t process, uint64_t now_ms);

#endif
