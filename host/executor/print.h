/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device printf.  The driver writes it to this process's standard output when
 * a call synchronises.  Standard output is a memory file (a pipe could fill up
 * and block the very call that we would have to return from to empty it), and
 * what has arrived there is sent to the guest as PRINT events before the reply
 * of the call.
 *
 * Programs without printf pay nothing: making the driver write takes 1.2 us
 * after each kernel (measured with driver 580), as much as all the rest of a
 * remote synchronisation.
 */
#ifndef EXECUTOR_PRINT_H
#define EXECUTOR_PRINT_H

#include <stdbool.h>

#include "execute.h"

struct print {
	bool is_possible; /* a module was loaded whose kernels may use printf */
	int file;	  /* what standard output is */
	uint64_t taken;	  /* bytes already sent */
};

/* Replaces standard output. 0, or -errno. */
int print_open(struct print *print);

/* Sends what has arrived, the latest 32 MiB of it. */
void print_forward(struct executor *executor);

/*
 * Between calls: sends early what has become much, as fast as the guest takes it, and loses the oldest of
 * what has become too much, so that a kernel that prints without end does not fill the host's memory.
 */
void print_poll(struct executor *executor);

#endif
