/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a process stands still: its main thread is stopped (SIGSTOP, a debugger) or has ended while others go on, or
 * is stuck: it is in a sleep in the kernel that no signal ends, and has been in that same one all the time, as for a
 * lock that a broken driver does not give back. One that is at work, or waits in the driver for what it has given to a
 * GPU, does neither, however long that takes.
 */
#ifndef MEDIATOR_STANDSTILL_H
#define MEDIATOR_STANDSTILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long one may; 0: for ever. */
struct standstill_limits {
	unsigned stopped_ms;
	unsigned stuck_ms;
};

enum standstill_kind {
	STANDSTILL_NONE,
	STANDSTILL_STOPPED,
	STANDSTILL_STUCK,
};

/* What was seen of a process; all zero before the first look. */
struct standstill {
	enum standstill_kind kind;
	uint64_t since_ms;
	uint64_t switches; /* how often its main thread had been taken off a processor then */
};

#define STANDSTILL_TEXT_BYTES 64

/* How often to look, in milliseconds; 0: nobody is limited. */
unsigned standstill_interval(const struct standstill_limits *limits);

/*
 * Looks at a process that is not reaped yet; 'now_ms' is of a monotonic clock. True: it has stood still for longer than
 * it may, without having run in between; 'ret_text' (STANDSTILL_TEXT_BYTES) says "stopped for longer than 5000 ms". One
 * that cannot be seen does not.
 */
bool standstill_look(struct standstill *standstill, pid_t process, const struct standstill_limits *limits,
		     uint64_t now_ms, char *ret_text);

#endif
