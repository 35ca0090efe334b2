/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callbacks for messages of the log.  The log is that of the host's driver, which
 * cannot call into the guest: it is looked at when a call has failed, in the thread
 * that made it and before it returns.
 */
#ifndef VGPU_ERROR_CALLBACK_H
#define VGPU_ERROR_CALLBACK_H

#include <stdint.h>

/* How many there are; read without a lock. */
extern uint32_t error_callback_count;

/* Calls them for what is new in the log. Any thread; not one that is calling them. */
void error_callbacks_run(void);

static inline void error_callbacks_check(void)
{
	if (__atomic_load_n(&error_callback_count, __ATOMIC_RELAXED))
		error_callbacks_run();
}

#endif
