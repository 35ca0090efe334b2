/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kernels print.  It goes where the program's own printf goes, in the order of the calls: the text arrives before
 * the reply of the call that waited for it.
 *
 * The thread that takes it from the ring is any that waits, while others wait for it: so it never waits for the lock of
 * stdout, which one of those may hold.  What cannot be printed at once is kept, and printed by the next thread whose
 * reply has come.
 */
#ifndef VGPU_CHANNEL_PRINT_H
#define VGPU_CHANNEL_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "lock.h"

struct print_backlog {
	struct lock lock;
	char *text;
	size_t bytes;
};

/* By the thread that leads, alone. Waits for nobody; for lack of memory text may be lost. */
void channel_print(struct print_backlog *backlog, const char *text, size_t bytes);

/* Prints what is kept, unless another thread holds stdout for longer than a moment. */
void channel_print_rest(struct print_backlog *backlog);

/* From now on this thread leaves it to the one that waits for its end. */
void channel_print_leave(void);

#endif
