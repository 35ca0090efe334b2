/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was executed last, to be told when work of the device has failed: the device says so at a later call, which has
 * nothing to do with it. Names of calls, nothing of the tenant's data. The main thread.
 */
#ifndef EXECUTOR_RECENT_H
#define EXECUTOR_RECENT_H

#include <stdint.h>

#define RECENT_CALLS 128u /* a power of two */

struct recent {
	uint16_t opcodes[RECENT_CALLS];
	uint32_t count; /* free running */
};

static inline void recent_note(struct recent *recent, uint16_t opcode)
{
	recent->opcodes[recent->count++ % RECENT_CALLS] = opcode;
}

/* One line of the log: the last first, those in a row of one kind together. */
void recent_log(const struct recent *recent);

#endif
